import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import {
  ack,
  type Batch,
  type BatchResult,
  command,
  deadLetter,
  drop,
  event,
  type Outcome,
  retry,
} from "../../src/index.js";
import { deadLettersOf, deferred, testBus } from "../support/buses.js";

const Work = command<number>("work");
const ONE_RETRY = { attempts: 2, delay: "1s", jitter: 0 } as const;

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number);
}

test("a batch handler gets what is there, up to `max`, in order", async (t) => {
  const bus = await testBus(t);
  await bus.sendMany(Work, numbers(25));
  const sizes: number[] = [];
  const seen: number[] = [];
  bus.handle(Work, { batch: { max: 10 } }, (batch) => {
    sizes.push(batch.size);
    return batch.map(({ value, attempt, message }) => {
      assert.equal(attempt, 1);
      assert.equal(message.offset, value);
      seen.push(value);
      return ack();
    });
  });
  await bus.settled();
  assert.deepEqual(seen, numbers(25));
  assert.deepEqual(sizes, [10, 10, 5]);
  assert.equal((await bus.queue("work").statistics()).settled, 25);
});

test("with `wait` a batch is filled for that long after its first message, and begins at once when it is full", async (t) => {
  const bus = await testBus(t);
  const calls: string[] = [];
  bus.handle(Work, { batch: { max: 3, wait: "5s" } }, (batch) => {
    const values = [...batch].map(({ value }) => value);
    calls.push(`${bus.clock.monotonicMs() / 1000}: ${values.join()}`);
    return batch.map(() => ack());
  });
  await bus.send(Work, 1);
  await bus.advance("3s");
  await bus.send(Work, 2);
  await bus.advance("3s");
  await bus.sendMany(Work, [3, 4, 5, 6]);
  await bus.advance("10s");
  await bus.send(Work, 7);
  await bus.advance("10s");
  assert.deepEqual(calls, ["5: 1,2", "6: 3,4,5", "11: 6", "21: 7"]);
});

test("each message of a batch has an outcome of its own, and one whose item throws harms no other", async (t) => {
  const bus = await testBus(t);
  const attempts = new Map<number, number>();
  const outcomes: (() => Outcome | Promise<Outcome>)[] = [
    ack,
    drop,
    () => deadLetter("bad"),
    () => retry({ after: "10s" }),
    () => {
      throw new Error("thrown");
    },
    () => Promise.reject(new Error("rejected")),
    () => undefined as unknown as Outcome,
  ];
  bus.handle(Work, { batch: { max: 100 }, retry: ONE_RETRY }, (batch) =>
    batch.map(({ value, attempt }) => {
      attempts.set(value, attempt);
      return outcomes[value]!();
    }),
  );
  await bus.sendMany(Work, numbers(outcomes.length));
  await bus.advance("1m");
  assert.deepEqual([...attempts.values()], [1, 1, 1, 2, 2, 2, 2]);
  const dead = await deadLettersOf(bus);
  assert.deepEqual(
    dead.map(({ message, reason, error }) => [message.json(), reason, error.slice(0, 16)]).sort(),
    [
      [2, "rejected", "bad"],
      [3, "attempts-exhausted", "the handler aske"],
      [4, "attempts-exhausted", "Error: thrown"],
      [5, "attempts-exhausted", "Error: rejected"],
      [6, "attempts-exhausted", "BrokerError: A b"],
    ],
  );
});

test("a batch handler that throws fails every message that it had, also after it said what became of them", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, { batch: { max: 10 }, retry: { attempts: 1 } }, (batch): BatchResult => {
    batch.map(() => Promise.reject(new Error("nobody hears of this")));
    throw new Error("all of it");
  });
  await bus.sendMany(Work, [1, 2, 3]);
  await bus.settled();
  const errors = (await deadLettersOf(bus)).map(({ error }) => error);
  assert.deepEqual(errors, ["Error: all of it", "Error: all of it", "Error: all of it"]);
});

test("only what batch.map of this very batch made is a result", async (t) => {
  const bus = await testBus(t);
  let earlier: BatchResult | undefined;
  const results: ((batch: Batch<number>) => unknown)[] = [
    () => undefined,
    () => [ack()],
    () => ({ outcomes: [ack()] }),
    () => ack(),
    (batch) => {
      earlier = batch.map(() => ack());
      return "not it";
    },
    () => earlier,
  ];
  bus.handle(Work, { batch: { max: 1 }, retry: { attempts: 1 } }, (batch) => {
    return results[batch.items[0]!.value]!(batch) as BatchResult;
  });
  await bus.sendMany(Work, numbers(results.length));
  await bus.settled();
  const dead = await deadLettersOf(bus);
  assert.equal(dead.length, results.length);
  for (const { error } of dead) assert.match(error, /has to return what batch\.map gave it/);
});

test("messages that do not fit the schema are dead-lettered, and the batch is of the others", async (t) => {
  const bus = await testBus(t);
  const schema = z.object({ n: z.number() }).transform(({ n }) => n * 2);
  const Checked = command("checked", { schema });
  const queue = bus.queue("checked");
  await queue.sendMany(['{"n":1}', "no json", '{"n":"2"}', '{"n":3}']);
  await bus.send(Checked, { n: 4 });
  const batches: number[][] = [];
  bus.handle(Checked, { batch: { max: 10 } }, (batch) => {
    batches.push([...batch].map(({ value }) => value));
    return batch.map(() => ack());
  });
  await bus.settled();
  assert.deepEqual(batches, [[2, 6, 8]]);
  const reasons = (await deadLettersOf(bus)).map(({ reason }) => reason);
  assert.deepEqual(reasons, ["invalid-payload", "invalid-payload"]);
});

test("a handler is not called for a batch of which nothing is valid", async (t) => {
  const bus = await testBus(t);
  await bus.queue("work").sendMany(["no", "json"]);
  let calls = 0;
  bus.handle(Work, { batch: { max: 10 } }, (batch) => {
    calls += 1;
    return batch.map(() => ack());
  });
  await bus.settled();
  assert.equal(calls, 0);
  assert.equal((await deadLettersOf(bus)).length, 2);
});

test("a batch that takes too long is failed as a whole, its signal aborted, and what it answers is not heard", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  const signals: AbortSignal[] = [];
  bus.handle(Work, { batch: { max: 10 }, timeout: "1m", retry: ONE_RETRY }, async (batch, { signal }) => {
    signals.push(signal);
    await gate.promise;
    return batch.map(() => ack());
  });
  await bus.sendMany(Work, [1, 2]);
  await bus.advance("1m");
  assert.equal(signals[0]?.aborted, true);
  gate.resolve();
  await bus.advance("2s");
  assert.equal(signals.length, 2);
  const { settled, redelivered } = await bus.queue("work").statistics();
  assert.deepEqual({ settled, redelivered }, { settled: 2, redelivered: 2 });
  assert.deepEqual(bus.errors, []);
});

test("a batch whose time is over while its messages are checked is not handed to its handler", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  let isReceived = false;
  const schema = z.number().refine(async () => {
    if (isReceived) await gate.promise;
    return true;
  });
  const Checked = command("checked", { schema });
  await bus.sendMany(Checked, [1, 2]);
  isReceived = true;
  let calls = 0;
  bus.handle(Checked, { batch: { max: 2 }, timeout: "1m", retry: { attempts: 1 } }, (batch) => {
    calls += 1;
    return batch.map(() => ack());
  });
  await bus.advance("1m");
  gate.resolve();
  await bus.settled();
  assert.equal(calls, 0);
  assert.equal((await deadLettersOf(bus)).length, 2);
});

test("one item that never ends fails with the timeout, and the others of its batch are not done either", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, { batch: { max: 2 }, timeout: "1m", retry: { attempts: 1 } }, (batch) =>
    batch.map(({ value }) => (value === 1 ? new Promise<Outcome>(() => undefined) : ack())),
  );
  await bus.sendMany(Work, [1, 2]);
  await bus.advance("1m");
  assert.equal((await deadLettersOf(bus)).length, 2);
});

test("batches run side by side up to `concurrency`", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  await bus.sendMany(Work, numbers(10));
  const handling = bus.handle(Work, { concurrency: 3, batch: { max: 2 } }, async (batch) => {
    await gate.promise;
    return batch.map(() => ack());
  });
  await bus.advance(0);
  assert.equal(handling.running, 3);
  gate.resolve();
  await bus.settled();
  assert.equal((await bus.queue("work").statistics()).settled, 10);
});

test("batches that run side by side begin in the order of their messages, also where the last is smaller", async (t) => {
  const bus = await testBus(t);
  const begun: number[][] = [];
  await bus.sendMany(Work, numbers(5));
  bus.handle(Work, { concurrency: 3, batch: { max: 2 } }, (batch) => {
    begun.push(batch.items.map(({ value }) => value));
    return batch.map(() => ack());
  });
  await bus.settled();
  assert.deepEqual(begun, [[0, 1], [2, 3], [4]]);
});

test("groups have batch handlers too", async (t) => {
  const bus = await testBus(t);
  const Happened = event<number>("thing.happened");
  const seen: number[] = [];
  bus.on(Happened, { group: "g", batch: { max: 5 } }, (batch) =>
    batch.map(({ value }) => {
      seen.push(value);
      return ack();
    }),
  );
  await bus.publishMany(Happened, numbers(7));
  await bus.settled();
  assert.deepEqual(seen, numbers(7));
});
