import assert from "node:assert/strict";
import { test } from "node:test";
import { ack, command, type StoredMessage } from "../../src/index.js";
import { collect, deferred, failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

/** What has become of a message, in the words of the view. */
function view({ attempts, consumer, isAcknowledged, error, status }: StoredMessage): unknown[] {
  return [status?.state, attempts, consumer, isAcknowledged, error];
}

test("a browsed message shows who has it, how often it was tried, and what went wrong", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("jobs");
  await queue.sendMany(["1", "2", "3"]);
  const taken = await queue.receiveBatch({ max: 2 });
  await taken[0]!.nack({ error: new Error("no card reader"), delay: "1h" });
  const [first, second, third] = await collect(queue.browse());
  assert.deepEqual(view(first!), ["waiting", 1, undefined, false, "Error: no card reader"]);
  assert.deepEqual(view(second!), ["in-flight", 1, "receiver of jobs", false, undefined]);
  assert.deepEqual(view(third!), ["waiting", 0, undefined, false, undefined]);

  await taken[1]!.ack();
  assert.deepEqual(view(second!), ["acknowledged", undefined, undefined, true, undefined], "as it is by now");
  await bus.advance("1h");
  const [again] = await queue.receiveBatch({ max: 1 });
  assert.deepEqual(view(first!), ["in-flight", 2, "receiver of jobs", false, "Error: no card reader"]);
  assert.deepEqual(view(again!.message), view(first!));
});

test("a handler sees it of its own message, with the name of its consumer", async (t) => {
  const bus = await testBus(t);
  const Job = command<number>("job.run");
  const seen: unknown[] = [];
  const gate = deferred();
  bus.handle(
    Job,
    { consumer: "worker-7", retry: { attempts: 2, delay: 10, jitter: 0 } },
    async (_, { message }) => {
      seen.push(view(message));
      if (seen.length === 1) throw new Error("not yet");
      await gate.promise;
    },
  );
  await bus.send(Job, 1);
  await bus.advance("1s");
  const [browsed] = await collect(bus.queue("job.run").browse());
  assert.deepEqual(seen, [
    ["in-flight", 1, "worker-7", false, undefined],
    ["in-flight", 2, "worker-7", false, "Error: not yet"],
  ]);
  assert.deepEqual(view(browsed!), seen[1]);
  gate.resolve();
  await bus.settled();
  assert.equal(browsed!.isAcknowledged, true);
});

test("a batch of whole messages shows it too", async (t) => {
  const bus = await testBus(t);
  const seen: unknown[] = [];
  bus.queue("jobs").consume({ batch: { max: 10 } }, (batch) =>
    batch.map(({ value, message }) => {
      seen.push([view(value), message.attempts]);
      return ack();
    }),
  );
  await bus.queue("jobs").send("1");
  await bus.settled();
  assert.deepEqual(seen[0], [["in-flight", 1, "jobs", false, undefined], 1]);
});

test("acknowledged messages that are still stored are shown when asked for", async (t) => {
  const bus = await testBus(t);
  const queue = bus.queue("jobs");
  await queue.sendMany(["1", "2", "3"]);
  const [, second] = await queue.receiveBatch({ max: 2 });
  await second!.ack();
  const shown = await collect(queue.browse({ acknowledged: true }));
  assert.deepEqual(
    shown.map((message) => [message.text(), message.status?.state]),
    [
      ["1", "in-flight"],
      ["2", "acknowledged"],
      ["3", "waiting"],
    ],
  );
  assert.equal((await collect(queue.browse({ acknowledged: true, limit: 2 }))).length, 2);
  await failsWith(
    "INVALID_OPTION",
    () => collect(queue.browse({ acknowledged: 1 } as object)),
    /acknowledged/,
  );
});

test("a group is browsed for itself: other groups, and what it did not ask for, do not show", async (t) => {
  const bus = await testBus(t);
  const topic = bus.topic("readings", { partitions: 2 });
  const slow = await topic.group("slow", { from: "beginning" }).declare();
  const fast = await topic.group("fast", { from: "beginning" }).declare();
  for (let number = 0; number < 10; number += 1) await topic.publish(String(number), { key: `k${number}` });
  for (const delivery of await fast.receiveBatch({ max: 10 })) await delivery.ack();
  const [taken] = await slow.receiveBatch({ max: 1 });
  assert.deepEqual(await collect(fast.browse()), []);
  const waiting = await collect(slow.browse());
  assert.equal(waiting.length, 10);
  assert.deepEqual(new Set(waiting.map(({ partition }) => partition)), new Set([0, 1]));
  const inFlight = waiting.filter(({ status }) => status?.state === "in-flight");
  assert.deepEqual(
    inFlight.map(({ id }) => id),
    [taken!.message.id],
  );
  assert.ok(
    (await collect(fast.browse({ acknowledged: true }))).every(({ isAcknowledged }) => isAcknowledged),
  );
  assert.equal((await collect(fast.browse({ acknowledged: true }))).length, 10);
});

test("messages that nobody keeps track of have no status", async (t) => {
  const bus = await testBus(t);
  await bus.topic("readings").publish("1");
  const [message] = await collect(bus.topic("readings").read());
  assert.deepEqual(view(message!), [undefined, undefined, undefined, undefined, undefined]);
});

test("attempts and errors are known after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await bus.queue("jobs").send("1");
    const [delivery] = await bus.queue("jobs").receiveBatch({ max: 1 });
    await delivery!.nack({ error: "out of paper", delay: "1h" });
  });
  await withBus(directory, async (bus) => {
    const [message] = await collect(bus.queue("jobs").browse());
    assert.deepEqual(view(message!), ["waiting", 1, undefined, false, "thrown: out of paper"]);
  });
});

test("a stored message as JSON has every field, with its value as its content type says", async (t) => {
  const bus = await testBus(t, { startMs: Date.UTC(2026, 0, 2) });
  const queue = bus.queue("jobs");
  await queue.send('{"sku":"tea"}', {
    contentType: "application/json",
    key: "k",
    id: "j-1",
    headers: { a: "b" },
  });
  await queue.send("text without a type");
  await queue.send(new Uint8Array([255, 0]));
  await queue.send("no json", { contentType: "application/json" });
  await bus.queue("jobs").receiveBatch({ max: 1 });
  const shown = (await collect(queue.browse())).map((message) => JSON.parse(JSON.stringify(message)));
  assert.deepEqual(shown[0], {
    id: "j-1",
    source: "jobs",
    offset: 0,
    timestamp: "2026-01-02T00:00:00.000Z",
    subject: "jobs",
    key: "k",
    contentType: "application/json",
    headers: { a: "b" },
    value: { sku: "tea" },
    attempts: 1,
    consumer: "receiver of jobs",
    isAcknowledged: false,
  });
  assert.deepEqual(
    shown.slice(1).map(({ value }) => value),
    ["text without a type", "/wA=", "no json"],
  );
});
