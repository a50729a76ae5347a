import assert from "node:assert/strict";
import { test } from "node:test";
import { command, event } from "../../src/index.js";
import { collect, deadLettersOf, failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Job = command<string>("job");

test("a command that is sent with a higher priority is handled first, on disk and after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await bus.queue("job", { priorities: 3 }).declare();
    await bus.sendMany(Job, ["low 1", "low 2"]);
    await bus.send(Job, "high", { priority: 2 });
    await bus.send(Job, "middle", { priority: 1, headers: { a: "b" } });
    const receipt = await bus.send(Job, "very high", { priority: 100 });
    assert.equal(receipt.id, "job/2:1");
  });
  await withBus(directory, async (bus) => {
    const seen: unknown[] = [];
    for await (const delivery of bus.queue("job").receive({ prefetch: 1 })) {
      const { message } = delivery;
      seen.push([message.json(), message.priority, message.id]);
      await delivery.ack();
      if (seen.length === 5) break;
    }
    assert.deepEqual(seen, [
      ["high", 2, "job/2:0"],
      ["very high", 100, "job/2:1"],
      ["middle", 1, "job/1:0"],
      ["low 1", 0, "job/0:0"],
      ["low 2", 0, "job/0:1"],
    ]);
  });
});

test("a batch has what is there at every level, though each has to be read from disk", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    const queue = await bus.queue("work", { priorities: 4 }).declare();
    for (const priority of [0, 1, 2, 3, 0]) await queue.send(`p${priority}`, { priority });
  });
  await withBus(directory, async (bus) => {
    const batch = await bus.queue("work").receiveBatch({ max: 4 });
    assert.deepEqual(
      batch.map(({ message }) => message.text()),
      ["p3", "p2", "p1", "p0"],
    );
    assert.equal((await bus.queue("work").receiveBatch({ max: 10 })).length, 1);
  });
});

test("an event keeps its priority through its topic, and a queue that is bound to it uses it", async (t) => {
  const bus = await testBus(t);
  const Placed = event<string>("order.placed");
  const queue = await bus.queue("audit", { priorities: 2, bind: ["order.#"] }).declare();
  await bus.publish(Placed, "one");
  await bus.publish(Placed, "two", { priority: 1 });
  const browsed = await collect(queue.browse());
  assert.deepEqual(
    browsed.map((message) => [message.json(), message.partition, message.offset]),
    [
      ["two", 1, 0],
      ["one", 0, 0],
    ],
  );
  const [first, second] = await collect(bus.topic("order").read());
  assert.deepEqual([first!.priority, second!.priority], [0, 1]);
});

test("a dead letter keeps its priority when it is replayed", async (t) => {
  const bus = await testBus(t);
  const queue = await bus.queue("work", { priorities: 2 }).declare();
  await queue.send("a", { priority: 1 });
  await queue.send("b");
  const [urgent] = await queue.receiveBatch({ max: 1 });
  await urgent!.deadLetter("broken");
  const [letter] = await deadLettersOf(bus);
  assert.equal(letter!.message.priority, 1);
  assert.equal(letter!.message.id, "work/1:0");
  await bus.deadLetters.replay({ source: "work" });
  const [again] = await queue.receiveBatch({ max: 1 });
  assert.deepEqual([again!.message.text(), again!.message.id], ["a", "work/1:0"]);
});

test("priorities that are none are refused with their name", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("work", { priorities: 2 });
  for (const priority of [-1, 0.5, Number.NaN, "high" as unknown as number])
    await failsWith("INVALID_OPTION", () => queue.send("a", { priority }), /priority/);
  await failsWith("INVALID_OPTION", () => bus.queue("other", { priorities: 33 }).declare(), /priorities.*32/);
  await queue.declare();
  await failsWith("QUEUE_MISMATCH", () => bus.queue("work", { priorities: 3 }).declare(), /priorities 2/);
  assert.deepEqual((await queue.statistics()).unsettledByPriority, [0, 0]);
});
