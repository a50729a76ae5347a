// Handlers and buses that end: close, drain, and what is left then.

import assert from "node:assert/strict";
import { test } from "node:test";
import { command, embedded, event, isBrokerError, memory, openBus } from "../../src/index.js";
import { systemIo } from "../../src/io/system-io.js";
import { openTestBus, VirtualClock } from "../../src/testing/index.js";
import { collect, deadLettersOf, deferred, failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Work = command<number>("work");
const Placed = event<number>("order.placed");

test("drain waits for the calls that run, takes no more, and gives back untried what was fetched ahead", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  const seen: number[] = [];
  bus.handle(Work, async (number) => {
    await gate.promise;
    seen.push(number);
  });
  await bus.sendMany(Work, [1, 2, 3]);
  await bus.advance(0);
  let isDrained = false;
  const drained = bus.drain().then(() => {
    isDrained = true;
  });
  await bus.send(Work, 4);
  await bus.advance(0);
  assert.equal(isDrained, false);
  gate.resolve();
  await drained;
  assert.deepEqual(seen, [1]);
  const left = await bus.queue("work").receiveBatch({ max: 10 });
  assert.deepEqual(
    left.map(({ message, attempt }) => [message.json(), attempt]),
    [
      [2, 1],
      [3, 1],
      [4, 1],
    ],
  );
});

test("drain waits until what was dead-lettered is stored, and batches that were being filled go back", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  const A = command<number>("a", { queue: "shared" });
  bus.handle(A, () => undefined);
  bus.handle(Work, { retry: { attempts: 1 } }, () => gate.promise);
  bus.on(Placed, { group: "g", batch: { max: 10, wait: "1h" } }, () => {
    throw new Error("never called");
  });
  await bus.publish(Placed, 1);
  await bus.send(Work, 1);
  await bus.advance(0);
  const drained = bus.drain();
  gate.reject(new Error("no"));
  await drained;
  assert.equal((await deadLettersOf(bus)).length, 1);
  const [delivery] = await bus.topic("order").group("g").receiveBatch({ max: 1 });
  assert.equal(delivery?.attempt, 1);
  assert.deepEqual(bus.errors, []);
});

test("a drain that is given up by its signal goes on, and the next one waits for it", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  bus.handle(Work, () => gate.promise);
  await bus.send(Work, 1);
  await bus.advance(0);
  const abort = new AbortController();
  const drained = bus.drain({ signal: abort.signal });
  await bus.advance(0);
  abort.abort(new Error("impatient"));
  await assert.rejects(drained, /impatient/);
  await assert.rejects(bus.drain({ signal: abort.signal }), /impatient/);
  let isDrained = false;
  const again = bus.drain().then(() => {
    isDrained = true;
  });
  await bus.advance(0);
  assert.equal(isDrained, false);
  gate.resolve();
  await again;
});

test("handlers that were drained stay ended, also when one of them is closed afterwards", async (t) => {
  const bus = await testBus(t);
  const handlings = ["a", "b"].map((name) => bus.handle(command(name, { queue: "shared" }), () => undefined));
  await bus.settled();
  await bus.drain();
  await handlings[0]!.close();
  await bus.send(command<number>("b", { queue: "shared" }), 1);
  await bus.settled();
  const { consumers, waiting } = await bus.queue("shared").statistics();
  assert.deepEqual({ consumers, waiting }, { consumers: 0, waiting: 1 });
});

test("drain waits until a message that no handler was for is among the dead letters", async (t) => {
  const bus = await testBus(t);
  await bus.handle(command("a", { queue: "shared" }), () => undefined).ready;
  await bus.send(command<number>("b", { queue: "shared" }), 1);
  while ((await bus.queue("shared").statistics()).delivered === 0)
    await new Promise((resolve) => setImmediate(resolve));
  await bus.drain();
  assert.equal((await deadLettersOf(bus))[0]?.reason, "unknown-type");
});

test("a drained bus takes handlers again, also while it still drains", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  const seen: string[] = [];
  bus.handle(Work, async (number) => {
    await gate.promise;
    seen.push(`old ${number}`);
  });
  await bus.send(Work, 1);
  await bus.advance(0);
  const drained = bus.drain();
  await bus.advance(0);
  bus.handle(Work, (number) => void seen.push(`new ${number}`));
  await bus.send(Work, 2);
  await bus.advance(0);
  assert.deepEqual(seen, ["new 2"]);
  gate.resolve();
  await drained;
  await bus.send(Work, 3);
  await bus.settled();
  assert.deepEqual(seen, ["new 2", "old 1", "new 3"]);
  await bus.drain();
  await bus.send(Work, 4);
  await bus.settled();
  assert.equal(seen.length, 3);
});

test("a handler that was closed takes no more, and another may take its place", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  const seen: string[] = [];
  const first = bus.handle(Work, async (number) => {
    await gate.promise;
    seen.push(`first ${number}`);
  });
  await bus.sendMany(Work, [1, 2]);
  await bus.advance(0);
  const closed = first.close();
  await failsWith("DUPLICATE_HANDLER", () => bus.handle(Work, () => undefined), /work/);
  gate.resolve();
  await closed;
  bus.handle(Work, (number) => void seen.push(`second ${number}`));
  await bus.settled();
  await first.close();
  await bus.send(Work, 3);
  await bus.settled();
  assert.deepEqual(seen, ["first 1", "second 2", "second 3"]);
});

test("what a handler gives back while it closes keeps its turn: the next one gets it at once, and in order", async (t) => {
  const bus = await testBus(t);
  const Keyed = command<{ key: string; number: number }>("keyed", { key: ({ key }) => key });
  const gate = deferred();
  const first = bus.handle(Keyed, { orderBy: "key" }, () => gate.promise);
  await bus.send(Keyed, { key: "a", number: 1 });
  await bus.sendMany(
    Keyed,
    [2, 3].map((number) => ({ key: "b", number })),
  );
  await bus.advance(0);
  const closed = first.close();
  await bus.advance(0);
  gate.resolve();
  await closed;
  const seen: number[] = [];
  bus.handle(Keyed, { orderBy: "key" }, ({ number }) => void seen.push(number));
  await bus.send(Keyed, { key: "b", number: 4 });
  await bus.settled();
  assert.deepEqual(seen, [2, 3, 4]);
});

test("a handler of another type can be registered while the last one closes, and both keep their leases", async (t) => {
  const bus = await testBus(t);
  const A = command<number>("a", { queue: "shared" });
  const B = command<number>("b", { queue: "shared" });
  const gate = deferred();
  const seen: string[] = [];
  const a = bus.handle(A, { lease: "1s" }, async (number, ctx) => {
    await gate.promise;
    seen.push(`a${number} ${ctx.signal.aborted}`);
  });
  await bus.send(A, 1);
  await bus.advance(0);
  const closed = a.close();
  bus.handle(B, { lease: "1s" }, (number) => void seen.push(`b${number}`));
  await bus.send(B, 2);
  await bus.advance("1m");
  assert.deepEqual(seen, ["b2"]);
  gate.resolve();
  await closed;
  await bus.send(B, 3);
  await bus.settled();
  assert.deepEqual(seen, ["b2", "a1 false", "b3"]);
  assert.equal((await bus.queue("shared").statistics()).consumers, 1);
});

test("of two handlers of a queue one can be closed: its messages wait for one that takes its place", async (t) => {
  const bus = await testBus(t);
  const A = command<number>("a", { queue: "shared" });
  const B = command<number>("b", { queue: "shared" });
  const seen: string[] = [];
  const gate = deferred();
  const a = bus.handle(A, async (number) => {
    await gate.promise;
    seen.push(`a${number}`);
  });
  bus.handle(B, (number) => void seen.push(`b${number}`));
  await bus.sendMany(A, [1, 2, 3]);
  await bus.advance(0);
  const closed = a.close();
  await bus.send(A, 4);
  await bus.send(B, 5);
  await bus.advance("1m");
  gate.resolve();
  await closed;
  await bus.advance("1m");
  assert.deepEqual(seen, ["b5", "a1"]);
  bus.handle(A, (number) => void seen.push(`again a${number}`));
  await a.close();
  await bus.send(A, 6);
  await bus.advance("10s");
  assert.deepEqual(seen.slice(2).sort(), ["again a2", "again a3", "again a4", "again a6"]);
  assert.deepEqual(await deadLettersOf(bus), []);
});

test("one handler for one type of a queue or group", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, () => undefined);
  await failsWith("DUPLICATE_HANDLER", () => bus.handle(Work, () => undefined), /raise its concurrency/);
  bus.on(Placed, { group: "g" }, () => undefined);
  await failsWith("DUPLICATE_HANDLER", () => bus.on(Placed, { group: "g" }, () => undefined), /order\/g/);
  bus.on(Placed, { group: "h" }, () => undefined);
});

/** Every verb of a bus, and of what it gave while it was open. */
async function everyVerb(bus: Awaited<ReturnType<typeof openTestBus>>): Promise<(() => unknown)[]> {
  const queue = await bus.queue("q").declare();
  const topic = await bus.topic("t").declare();
  const group = await topic.group("g").declare();
  return [
    () => bus.publish(Placed, 1),
    () => bus.publishMany(Placed, [1]),
    () => bus.send(Work, 1),
    () => bus.sendMany(Work, [1]),
    () => bus.on(Placed, { group: "g" }, () => undefined),
    () => bus.handle(Work, () => undefined),
    () => bus.queue("q"),
    () => bus.topic("t"),
    () => bus.subscribe("#"),
    () => bus.statistics(),
    () => bus.drain(),
    () => collect(bus.deadLetters.list()),
    () => bus.deadLetters.get("x"),
    () => bus.deadLetters.replay({}),
    () => bus.deadLetters.discard({}),
    () => queue.declare(),
    () => queue.send("a"),
    () => queue.sendMany(["a"]),
    () => collect(queue.receive()),
    () => queue.receiveBatch({ max: 1 }),
    () => queue.consume(() => undefined),
    () => collect(queue.browse()),
    () => queue.purge(),
    () => queue.statistics(),
    () => topic.declare(),
    () => topic.publish("a"),
    () => topic.publishMany(["a"]),
    () => collect(topic.read()),
    () => topic.statistics(),
    () => topic.group("g").declare(),
    () => group.declare(),
    () => collect(group.receive()),
    () => group.receiveBatch({ max: 1 }),
    () => group.consume(() => undefined),
    () => group.statistics(),
  ];
}

test("after close every verb fails with CLOSED, and close and asyncDispose again do nothing", async () => {
  const bus = await openTestBus();
  await bus.publish(Placed, 0);
  await bus.send(Work, 0);
  const verbs = await everyVerb(bus);
  const [first, second] = [bus.close(), bus.close()];
  await Promise.all([first, second]);
  await bus[Symbol.asyncDispose]();
  for (const verb of verbs) await failsWith("CLOSED", verb, /closed/);
});

test("handlers that run when the bus closes come to their end, and may publish until then", async (t) => {
  const directory = await temporaryDirectory(t);
  const bus = await openBus(directory);
  const begun = deferred();
  bus.on(Placed, { group: "g" }, async (number) => {
    begun.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    await bus.send(Work, number);
  });
  await bus.publish(Placed, 5);
  await begun.promise;
  await bus.close();
  await withBus(directory, async (again) => {
    const stored = await collect(again.queue("work").browse());
    assert.deepEqual(
      stored.map((message) => message.json()),
      [5],
    );
    assert.equal((await again.topic("order").group("g").statistics()).lag, 0);
  });
});

test("nothing begins to receive while the bus closes", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  bus.handle(Work, () => gate.promise);
  await bus.send(Work, 1);
  await bus.advance(0);
  const closed = bus.close();
  await failsWith("CLOSED", () => bus.handle(command("other"), () => undefined));
  await failsWith("CLOSED", () => bus.queue("q").receiveBatch({ max: 1, wait: "1h" }));
  await bus.queue("q").send("still taken");
  gate.resolve();
  await closed;
});

test("a receiver whose queue is still being declared ends when the bus closes", async () => {
  const bus = await openTestBus();
  const received = collect(bus.queue("q").receive());
  const batch = bus.queue("r").receiveBatch({ max: 1, wait: "1h" });
  await Promise.all([bus.close(), received, batch]);
  assert.deepEqual([await received, await batch], [[], []]);
});

test("a receiver that waits ends when the bus closes, one that works may settle what it has", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  await queue.send("a");
  const gate = deferred();
  bus.handle(Work, () => gate.promise);
  await bus.send(Work, 1);
  const waiting = bus.queue("empty").receiveBatch({ max: 1, wait: "1h" });
  let settled = "";
  const receiving = (async () => {
    for await (const delivery of queue.receive()) {
      gate.resolve();
      await new Promise((resolve) => setImmediate(resolve));
      await delivery.ack();
      settled += delivery.message.text();
    }
  })();
  await bus.advance(0);
  await bus.close();
  assert.deepEqual(await waiting, []);
  await receiving;
  assert.equal(settled, "a");
});

test("close waits 10 seconds for a stuck handler, tells it, and gives its message back", async (t) => {
  const directory = await temporaryDirectory(t);
  const clock = new VirtualClock();
  const io = { ...systemIo, clock };
  const bus = await openBus(embedded({ directory, io }));
  const begun = deferred<AbortSignal>();
  bus.handle(Work, (_number, ctx) => {
    begun.resolve(ctx.signal);
    return new Promise<void>(() => undefined);
  });
  await bus.send(Work, 1);
  const signal = await begun.promise;
  let isClosed = false;
  const closed = bus.close().then(() => {
    isClosed = true;
  });
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await turns();
  await clock.advance(9_999, turns);
  assert.equal(isClosed, false);
  assert.equal(signal.aborted, false);
  await clock.advance(1, turns);
  await closed;
  assert.ok(isBrokerError(signal.reason, "CLOSED"));
  const [delivery] = await withBus(directory, (again) => again.queue("work").receiveBatch({ max: 1 }));
  assert.deepEqual([delivery?.message.json(), delivery?.attempt], [1, 1]);
});

test("publishing that races with close is stored or refused, never in between", async (t) => {
  const directory = await temporaryDirectory(t);
  const bus = await openBus(directory);
  const answers: Promise<number | undefined>[] = [];
  const publish = (number: number) =>
    bus.send(Work, number).then(
      () => number,
      (error: unknown) => {
        assert.ok(isBrokerError(error, "CLOSED"), String(error));
        return undefined;
      },
    );
  for (let number = 0; number < 50; number += 1) answers.push(publish(number));
  let isClosed = false;
  const closed = bus.close().then(() => {
    isClosed = true;
  });
  do {
    answers.push(publish(answers.length));
    await new Promise((resolve) => setImmediate(resolve));
  } while (!isClosed);
  await closed;
  answers.push(publish(answers.length));
  const acknowledged = (await Promise.all(answers)).filter((number) => number !== undefined);
  assert.ok(acknowledged.length >= 50 && acknowledged.length < answers.length);
  const stored = await withBus(directory, (again) => collect(again.queue("work").browse()));
  assert.deepEqual(
    stored.map((message) => message.json<number>()).sort((a, b) => a - b),
    acknowledged.sort((a, b) => a - b),
  );
});

test("a publisher that waits for room is told that the bus was closed", async () => {
  const bus = await openTestBus();
  await bus.queue("work", { countMax: 1, overflow: "wait" }).declare();
  await bus.send(Work, 1);
  const waiting = bus.send(Work, 2);
  const many = bus.sendMany(Work, [3, 4]);
  const rejected = [failsWith("CLOSED", () => waiting), failsWith("CLOSED", () => many)];
  await bus.advance(0);
  await bus.close();
  await Promise.all(rejected);
});

test("buses are closed by `await using`'s symbol, and memory is gone then", async () => {
  const bus = await openBus(memory());
  await bus.send(Work, 1);
  await bus[Symbol.asyncDispose]();
  const other = await openBus(memory());
  assert.deepEqual(other.statistics().queues, []);
  await other.close();
});
