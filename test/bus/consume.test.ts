import assert from "node:assert/strict";
import { test } from "node:test";
import { ack, command, drop, event, retry } from "../../src/index.js";
import { deadLettersOf, failsWith, testBus } from "../support/buses.js";

test("a queue's consumer gets every message as it is stored, whatever its type", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("work");
  await queue.send("plain", { key: "k", headers: { trace: "1" } });
  await bus.send(command<number>("typed", { queue: "work" }), 5);
  await queue.send(new Uint8Array([0xff]));
  const seen: unknown[] = [];
  await queue.consume((message, context) => {
    assert.equal(context.message.id, message.id);
    const { subject, key, source, headers, offset } = message;
    seen.push([subject, key, source, headers, offset, context.attempt, message.body.length]);
  }).ready;
  await bus.settled();
  assert.deepEqual(seen, [
    ["work", "k", "work", { trace: "1" }, 0, 1, 5],
    ["typed", null, "work", {}, 1, 1, 1],
    ["work", null, "work", {}, 2, 1, 1],
  ]);
  assert.equal((await queue.statistics()).settled, 3);
});

test("returning acknowledges, throwing retries by the policy, outcomes say the rest", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  const seen: string[] = [];
  queue.consume({ retry: { attempts: 2, delay: "1s", jitter: 0 } }, (message, { attempt }) => {
    const text = message.text();
    seen.push(`${text}${attempt}`);
    if (text === "ack") return ack();
    if (text === "drop") return drop();
    if (text === "retry") return retry({ after: "1m" });
    throw new Error("no");
  });
  await queue.sendMany(["ack", "drop", "retry", "throw"]);
  await bus.advance("5m");
  assert.deepEqual(seen, ["ack1", "drop1", "retry1", "throw1", "throw2", "retry2"]);
  assert.equal((await deadLettersOf(bus)).length, 2);
});

test("a group's consumer gets every message of its topic, and other groups get them too", async (t) => {
  const bus = await testBus(t);
  const topic = bus.topic("order", { partitions: 2 });
  const seen: string[] = [];
  for (const name of ["a", "b"]) {
    topic
      .group(name, { from: "beginning" })
      .consume(
        { concurrency: 4 },
        (message) => void seen.push(`${name} ${message.subject} ${message.text()}`),
      );
  }
  await topic.publish("1", { subject: "order.x" });
  await bus.publish(event<number>("order.placed"), 2);
  await bus.settled();
  assert.deepEqual(seen.sort(), ["a order.placed 2", "a order.x 1", "b order.placed 2", "b order.x 1"]);
});

test("consumers take order by key and batches as other handlers do", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  for (const body of ["1", "2", "3"]) await queue.send(body, { key: "k" });
  const seen: string[][] = [];
  const handling = queue.consume({ batch: { max: 2 } }, (batch) => {
    seen.push([...batch].map(({ value }) => value.text()));
    return batch.map(() => ack());
  });
  await bus.settled();
  assert.deepEqual(seen, [["1", "2"], ["3"]]);
  await handling.close();

  for (const body of ["4", "5", "6"]) await queue.send(body, { key: "k" });
  let running = 0;
  const order: string[] = [];
  queue.consume({ concurrency: 3, orderBy: "key" }, async (message) => {
    running += 1;
    assert.equal(running, 1);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    order.push(message.text());
  });
  await bus.settled();
  assert.deepEqual(order, ["4", "5", "6"]);
});

test("a queue has one consumer of everything, or handlers by type", async (t) => {
  const bus = await testBus(t);
  const Work = command<number>("work");
  const first = bus.queue("work").consume(() => undefined);
  await failsWith("DUPLICATE_HANDLER", () => bus.queue("work").consume(() => undefined), /work/);
  await failsWith("DUPLICATE_HANDLER", () => bus.handle(Work, () => undefined), /work/);
  await first.close();
  bus.handle(Work, () => undefined);
  await failsWith("DUPLICATE_HANDLER", () => bus.queue("work").consume(() => undefined));

  const Placed = event<number>("order.placed");
  bus.on(Placed, { group: "g" }, () => undefined);
  await failsWith(
    "DUPLICATE_HANDLER",
    () =>
      bus
        .topic("order")
        .group("g")
        .consume(() => undefined),
    /order\/g/,
  );
  bus
    .topic("order")
    .group("h")
    .consume(() => undefined);
});

test("what is wrong with a consumer is named when it is registered", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("q");
  const any = (value: unknown) => value as never;
  await failsWith(
    "INVALID_OPTION",
    () => queue.consume(any({ concurrency: 0 }), () => undefined),
    /concurrency is 0/,
  );
  await failsWith(
    "INVALID_OPTION",
    () => queue.consume(any({ group: "g" }), () => undefined),
    /no option group/,
  );
  await failsWith("INVALID_OPTION", () => queue.consume(any({})), /handler of q is an object/);
  const failing = bus.queue("no/name").consume(() => undefined);
  await failsWith("INVALID_NAME", () => failing.ready, /no\/name/);
  assert.equal(bus.errors.length, 1);
});

test("a message that a consumer dead-letters is replayed to it", async (t) => {
  const bus = await testBus(t);
  const group = bus.topic("t").group("g");
  const seen: string[] = [];
  let isIll = true;
  group.consume({ retry: { attempts: 1 } }, (message) => {
    seen.push(message.id);
    if (isIll) throw new Error("ill");
  });
  const { id } = await bus.topic("t").publish("a");
  await bus.settled();
  isIll = false;
  assert.equal(await bus.deadLetters.replay({ source: "t/g" }), 1);
  await bus.settled();
  assert.deepEqual(seen, [id, id]);
});
