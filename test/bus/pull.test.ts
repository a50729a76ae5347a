import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bus, Delivery, EmbeddedCapabilities } from "../../src/index.js";
import { collect, deadLettersOf, diskBus, failsWith, testBus } from "../support/buses.js";

type Source = ReturnType<Bus<EmbeddedCapabilities>["queue"]>;

/** Takes what is there, without waiting. */
function take(source: Pick<Source, "receiveBatch">, max = 10): Promise<Delivery[]> {
  return source.receiveBatch({ max });
}

function texts(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ message }) => message.text());
}

async function ackAll(deliveries: readonly Delivery[]): Promise<void> {
  for (const delivery of deliveries) await delivery.ack();
}

test("receive gives messages in order as they come, until break", async (t) => {
  const bus = await diskBus(t);
  const queue = bus.queue("q");
  const seen: string[] = [];
  const receiving = (async () => {
    for await (const delivery of queue.receive()) {
      seen.push(delivery.message.text());
      await delivery.ack();
      if (seen.length === 4) break;
    }
  })();
  await queue.sendMany(["a", "b"]);
  await queue.sendMany(["c", "d", "e"]);
  await receiving;
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
  assert.deepEqual(texts(await take(queue)), ["e"]);
});

test("what a receiver has not settled goes back untried when it breaks", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b", "c"]);
  let kept: Delivery | undefined;
  for await (const delivery of queue.receive()) {
    kept = delivery;
    break;
  }
  await failsWith("LEASE_LOST", () => kept!.ack());
  const again = await take(queue);
  assert.deepEqual(texts(again), ["a", "b", "c"]);
  assert.deepEqual(
    again.map(({ attempt }) => attempt),
    [1, 1, 1],
  );
});

test("a signal ends the stream: what was fetched ahead goes back at once, what is being worked on can be settled", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b", "c"]);
  const abort = new AbortController();
  const seen: string[] = [];
  for await (const delivery of queue.receive({ signal: abort.signal })) {
    seen.push(delivery.message.text());
    abort.abort();
    assert.deepEqual(texts(await take(queue)), ["b", "c"]);
    assert.equal(delivery.signal.aborted, false);
    await delivery.ack();
  }
  assert.deepEqual(seen, ["a"]);
});

test("a signal ends a wait in which nothing comes, and one that has aborted ends it before", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  const abort = new AbortController();
  const received = collect(queue.receive({ signal: abort.signal }));
  await bus.settled();
  abort.abort();
  assert.deepEqual(await received, []);
  assert.deepEqual(await collect(queue.receive({ signal: AbortSignal.abort() })), []);
  assert.equal((await queue.statistics()).consumers, 0);
});

test("prefetch bounds what a receiver holds", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b", "c", "d", "e"]);
  const abort = new AbortController();
  const receiver = queue.receive({ prefetch: 2, signal: abort.signal });
  await receiver.next();
  assert.equal((await queue.statistics()).inFlight, 2);
  await receiver.next();
  const third = receiver.next();
  await bus.advance(0);
  assert.equal((await queue.statistics()).inFlight, 2);
  abort.abort();
  assert.equal((await third).done, true);
});

test("two receivers of one queue share its messages, each message to one", async (t) => {
  const bus = await diskBus(t);
  const queue = bus.queue("q");
  const seen: string[] = [];
  const abort = new AbortController();
  const receivers = [1, 2].map(async () => {
    let count = 0;
    for await (const delivery of queue.receive({ signal: abort.signal, prefetch: 5 })) {
      seen.push(delivery.message.text());
      await delivery.ack();
      count += 1;
      if (seen.length === 200) abort.abort();
    }
    return count;
  });
  const bodies = Array.from({ length: 200 }, (_, number) => String(number));
  await queue.sendMany(bodies);
  const counts = await Promise.all(receivers);
  assert.deepEqual(seen.sort(), bodies.sort());
  assert.ok(
    counts.every((count) => count > 0),
    `shared as ${counts}`,
  );
});

test("a group's receivers get the messages of its topic from where it began", async (t) => {
  const bus = await testBus(t);
  const topic = bus.topic("order");
  await topic.publishMany(["a", "b"], { subject: "order.placed" });
  const all = topic.group("all", { from: "beginning" });
  const late = await topic.group("late").declare();
  await topic.publish("c");
  const messages = await take(all);
  assert.deepEqual(texts(messages), ["a", "b", "c"]);
  assert.deepEqual(
    messages.map(({ message }) => [message.subject, message.source, message.partition, message.id]),
    [
      ["order.placed", "order", 0, "order/0:0"],
      ["order.placed", "order", 0, "order/0:1"],
      ["order", "order", 0, "order/0:2"],
    ],
  );
  assert.deepEqual(texts(await take(late)), ["c"]);
  await ackAll(messages);
  assert.deepEqual([(await all.statistics()).lag, (await late.statistics()).lag], [0, 1]);
});

test("receiveBatch takes what is there, at most `max`, and leaves the rest", async (t) => {
  const bus = await diskBus(t);
  const queue = bus.queue("q");
  assert.deepEqual(await take(queue), []);
  await queue.sendMany(["a", "b", "c"]);
  const two = await take(queue, 2);
  assert.deepEqual(texts(two), ["a", "b"]);
  assert.deepEqual(texts(await take(queue)), ["c"]);
  assert.deepEqual(await take(queue), []);
  await ackAll(two);
});

test("receiveBatch waits for the first message as long as it is told to", async (t) => {
  const bus = await testBus(t);
  const queue = await bus.queue("q").declare();
  const first = queue.receiveBatch({ max: 10, wait: "10s" });
  await bus.advance("5s");
  await queue.sendMany(["a", "b"]);
  assert.deepEqual(texts(await first), ["a", "b"]);
  let isOver = false;
  const nothing = queue.receiveBatch({ max: 10, wait: "10s" }).finally(() => {
    isOver = true;
  });
  await bus.advance("9s");
  assert.equal(isOver, false);
  await bus.advance("1s");
  assert.deepEqual(await nothing, []);
});

test("receiveBatch rejects with its signal's reason, before and while it waits, and takes nothing then", async (t) => {
  const bus = await testBus(t);
  const queue = await bus.queue("q").declare();
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(queue.receiveBatch({ max: 1, signal: aborted }), /enough/);
  const abort = new AbortController();
  const waiting = queue.receiveBatch({ max: 1, wait: "1h", signal: abort.signal });
  await bus.settled();
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await queue.send("a");
  assert.deepEqual(texts(await take(queue)), ["a"]);
});

test("batches taken at the same time share what is there, and none waits for what another has", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b", "c"]);
  const batches = await Promise.all(Array.from({ length: 5 }, () => take(queue, 2)));
  assert.deepEqual(batches.flatMap(texts).sort(), ["a", "b", "c"]);
});

test("receiveBatch does not wait for what may not be in flight yet", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q", { inFlightMax: 1 });
  await queue.sendMany(["a", "b"]);
  const [first] = await take(queue, 2);
  assert.deepEqual(await take(queue), []);
  await first!.ack();
  assert.deepEqual(texts(await take(queue)), ["b"]);
});

test("a delivery is settled once: whatever comes after throws LEASE_LOST and changes nothing", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  const verbs: ((delivery: Delivery) => Promise<void>)[] = [
    (delivery) => delivery.ack(),
    (delivery) => delivery.nack(),
    (delivery) => delivery.release(),
    (delivery) => delivery.deadLetter("no"),
    (delivery) => delivery.extend("1s"),
  ];
  for (const verb of verbs) {
    await queue.send("a");
    const [delivery] = await take(queue);
    await delivery!.ack();
    await failsWith("LEASE_LOST", () => verb(delivery!));
    assert.equal(delivery!.signal.aborted, true);
  }
  const { settled, waiting, inFlight } = await queue.statistics();
  assert.deepEqual({ settled, waiting, inFlight }, { settled: verbs.length, waiting: 0, inFlight: 0 });
  assert.deepEqual(await deadLettersOf(bus), []);
});

test("nack brings a message back at once or after a delay, and counts the attempt", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b"]);
  const [a, b] = await take(queue);
  await a!.nack({ error: new TypeError("bad") });
  await b!.nack({ delay: "10s" });
  const [again] = await take(queue);
  assert.deepEqual([again!.message.text(), again!.attempt], ["a", 2]);
  await bus.advance("10s");
  const [later] = await take(queue);
  assert.deepEqual([later!.message.text(), later!.attempt], ["b", 2]);
  await failsWith("INVALID_OPTION", () => later!.nack({ delay: -1 }), /delay is -1/);
  await later!.ack();
});

test("a message that is nacked too often is dead-lettered with the last error", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q", { attemptsMax: 2 });
  await queue.send("a");
  for (const error of ["first", "second"]) {
    const [delivery] = await take(queue);
    await delivery!.nack({ error });
  }
  assert.deepEqual(await take(queue), []);
  await bus.settled();
  const [dead] = await deadLettersOf(bus);
  assert.deepEqual([dead?.reason, dead?.error, dead?.attempts], ["attempts-exhausted", "thrown: second", 2]);
});

test("release gives a message back untried", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.send("a");
  for (let round = 0; round < 7; round += 1) {
    const [delivery] = await take(queue);
    assert.equal(delivery!.attempt, 1);
    await delivery!.release();
  }
});

test("deadLetter moves a message away at once, and wants a reason", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.send("a");
  const [delivery] = await take(queue);
  await failsWith("INVALID_OPTION", () => delivery!.deadLetter(""), /reason/);
  await delivery!.deadLetter("spoilt");
  const [dead] = await deadLettersOf(bus);
  assert.deepEqual([dead?.reason, dead?.error, dead?.message.text()], ["rejected", "spoilt", "a"]);
});

test("a lease that runs out gives the message to another; extend keeps it", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b"]);
  const [a, b] = await queue.receiveBatch({ max: 2, lease: "10s" });
  const lost = a!.signal;
  await bus.advance("9s");
  await b!.extend("1m");
  await bus.advance("2s");
  assert.equal(lost.aborted, true);
  assert.match(String(lost.reason), /no longer leased/);
  assert.equal(b!.signal.aborted, false);
  await failsWith("LEASE_LOST", () => a!.ack());
  const [again] = await take(queue);
  assert.deepEqual([again!.message.text(), again!.attempt], ["a", 2]);
  await b!.ack();
});

test("a slow receiver is not given what lost its lease while it waited ahead of it", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b", "c"]);
  const receiver = queue.receive({ lease: "10s", prefetch: 3 });
  const first = await receiver.next();
  assert.ok(!first.done);
  await first.value.extend("1h");
  await bus.advance("11s");
  const second = await receiver.next();
  assert.ok(!second.done);
  assert.deepEqual([second.value.message.text(), second.value.attempt], ["b", 1]);
  await receiver.return();
});

test("a message that only waited ahead of a slow receiver is never charged with a failed attempt", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q", { attemptsMax: 2 });
  await queue.sendMany(["slow", "b", "c"]);
  const attempts: [string, number][] = [];
  for await (const delivery of queue.receive({ lease: "10s" })) {
    attempts.push([delivery.message.text(), delivery.attempt]);
    if (delivery.message.text() === "slow") {
      for (let leases = 0; leases < 4; leases += 1) {
        await delivery.extend("10s");
        await bus.advance("9s");
      }
    }
    await delivery.ack();
    if (attempts.length === 3) break;
  }
  assert.deepEqual(attempts, [
    ["slow", 1],
    ["b", 1],
    ["c", 1],
  ]);
  assert.equal((await queue.statistics()).deadLetters, 0);
});

test("browse shows what is not settled, what is in flight included, and takes nothing", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.sendMany(["a", "b", "c"]);
  const [a] = await take(queue, 1);
  const browsed = async (limit?: number) =>
    (await collect(queue.browse(limit === undefined ? {} : { limit }))).map((message) => message.text());
  assert.deepEqual(await browsed(), ["a", "b", "c"]);
  assert.deepEqual(await browsed(2), ["a", "b"]);
  await a!.ack();
  assert.deepEqual(await browsed(), ["b", "c"]);
  assert.equal(await queue.purge(), 2);
  assert.deepEqual(await browsed(), []);
});

test("a topic is read from its beginning, an offset or a time, as often as one likes", async (t) => {
  const bus = await testBus(t);
  const topic = bus.topic("t");
  await topic.publishMany(["a", "b"]);
  await bus.advance("1h");
  const middle = new Date(bus.clock.nowMs());
  await topic.publishMany(["c", "d"]);
  const read = async (options: Parameters<typeof topic.read>[0]) =>
    (await collect(topic.read(options))).map((message) => message.text()).join("");
  assert.equal(await read({}), "abcd");
  assert.equal(await read({ from: "beginning", limit: 3 }), "abc");
  assert.equal(await read({ from: 1 }), "bcd");
  assert.equal(await read({ from: 4 }), "");
  assert.equal(await read({ from: 99 }), "");
  assert.equal(await read({ from: middle }), "cd");
  assert.equal(await read({ from: new Date(0) }), "abcd");
  assert.equal(await read({ from: new Date(Date.UTC(2100, 0)) }), "");
  await failsWith("OFFSET_OUT_OF_RANGE", () => read({ partition: 1 }), /no partition 1/);
});
