import assert from "node:assert/strict";
import { test } from "node:test";
import { ack, command, deadLetter, drop, event, isBrokerError, retry } from "../../src/index.js";
import { collect, deadLettersOf, deferred, failsWith, testBus } from "../support/buses.js";

const Work = command<number>("work");
const Result = command<number>("result");
const Done = event<number>("done.now");
const ONE_RETRY = { attempts: 2, delay: "1s", jitter: 0 } as const;

async function bodies(bus: Awaited<ReturnType<typeof testBus>>, queue: string): Promise<string[]> {
  return (await collect(bus.queue(queue).browse())).map((message) => message.text());
}

test("what a handler sends is stored when it has answered, with its ack, and not before", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  bus.handle(Work, async (number, ctx) => {
    await ctx.send(Result, number + 1);
    await ctx.publish(Done, number);
    await ctx.queue("log").send(`did ${number}`, { headers: { by: "test" } });
    await ctx.topic("audit").publish("seen", { subject: "audit.work" });
    await gate.promise;
  });
  await bus.send(Work, 1);
  await bus.advance("1s");
  assert.deepEqual(bus.statistics().queues.find(({ name }) => name === "result")?.waiting, 0);
  assert.deepEqual(await bodies(bus, "log"), []);
  gate.resolve();
  await bus.settled();
  assert.deepEqual(await bodies(bus, "result"), ["2"]);
  assert.deepEqual(await bodies(bus, "log"), ["did 1"]);
  const [seen] = await collect(bus.topic("audit").read());
  assert.equal(seen?.subject, "audit.work");
  assert.deepEqual(bus.valuesOf(Result), [2]);
  assert.deepEqual(bus.valuesOf(Done), [1]);
  assert.equal((await bus.queue("work").statistics()).settled, 1);
  assert.deepEqual(bus.errors, []);
});

test("nothing is stored of what a handler sent that throws, asks for a retry or dead-letters its message", async (t) => {
  const bus = await testBus(t);
  let attempts = 0;
  bus.handle(Work, { retry: ONE_RETRY }, async (number, ctx) => {
    await ctx.send(Result, number);
    attempts += 1;
    if (attempts > 4) return ack();
    if (number === 0) throw new Error("no");
    return number === 1 ? retry() : deadLetter("bad");
  });
  await bus.sendMany(Work, [0, 1, 2]);
  await bus.settled();
  assert.deepEqual(await bodies(bus, "result"), []);
  await bus.advance("1s");
  assert.deepEqual(bus.valuesOf(Result), [1]);
  assert.equal((await deadLettersOf(bus)).length, 2);
});

test("a handler that answers at once stores what it sent, also when it does not wait for it, and when it drops", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, (number, ctx) => {
    void ctx.send(Result, number);
    return number === 1 ? drop() : ack();
  });
  await bus.sendMany(Work, [1, 2]);
  await bus.settled();
  assert.deepEqual(bus.valuesOf(Result), [1, 2]);
});

test("what a handler sends is stored in the order in which it was sent", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, async (_, ctx) => {
    const log = ctx.queue("log");
    await Promise.all([
      ctx.send(Result, 1),
      log.send("a"),
      ctx.send(Result, 2),
      log.send("b"),
      log.send("c"),
    ]);
  });
  await bus.send(Work, 0);
  await bus.settled();
  assert.deepEqual(bus.valuesOf(Result), [1, 2]);
  assert.deepEqual(await bodies(bus, "log"), ["a", "b", "c"]);
});

test("a message that is refused makes the attempt fail as a whole, whether or not the handler looks", async (t) => {
  const bus = await testBus(t);
  await bus.queue("small", { messageBytesMax: 10, countMax: 1 }).send("full");
  bus.handle(Work, { retry: { attempts: 3, delay: "1s", jitter: 0 } }, async (number, ctx) => {
    await ctx.send(Result, number);
    if (number === 0) await ctx.queue("small").send("x");
    if (number === 1)
      await ctx
        .queue("small")
        .send("x".repeat(20))
        .catch(() => undefined);
    if (number === 2) await ctx.send(Result, 2n as never).catch(() => undefined);
  });
  await bus.sendMany(Work, [0, 1, 2]);
  await bus.advance("1s");
  assert.deepEqual(bus.valuesOf(Result), []);
  assert.equal(await bus.queue("small").purge(), 1);
  await bus.advance("2s");
  assert.deepEqual(bus.valuesOf(Result), [0]);
  assert.deepEqual(await bodies(bus, "small"), ["x"]);
  const letters = await deadLettersOf(bus);
  assert.deepEqual(
    letters.map(({ attempts }) => attempts),
    [3, 3],
  );
  assert.match(letters[0]!.error, /at most 10/);
});

test("a handler waits for room in a queue that makes its publishers wait", async (t) => {
  const bus = await testBus(t);
  const slow = bus.queue("slow", { countMax: 1, overflow: "wait" });
  await slow.send("0");
  bus.handle(Work, { concurrency: 3, retry: { attempts: 1 } }, (number, ctx) => {
    void ctx.queue("slow").send(String(number));
  });
  await bus.sendMany(Work, [1, 2, 3]);
  const seen: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    await bus.advance("1s");
    for (const delivery of await slow.receiveBatch({ max: 10 })) {
      seen.push(delivery.message.text());
      await delivery.ack();
    }
  }
  assert.deepEqual(seen, ["0", "1", "2", "3"]);
  assert.deepEqual(await deadLettersOf(bus), []);
});

test("a handler that sends more to a waiting queue than it ever takes fails when its time is over", async (t) => {
  const bus = await testBus(t);
  await bus.queue("slow", { countMax: 1, overflow: "wait" }).declare();
  bus.handle(Work, { timeout: "1m", retry: { attempts: 1 } }, async (_, ctx) => {
    await ctx.queue("slow").send("a");
    await ctx.queue("slow").send("b");
  });
  await bus.send(Work, 1);
  await bus.advance("2m");
  const [letter] = await deadLettersOf(bus);
  assert.match(letter!.error, /did not answer in time/);
  assert.deepEqual(await bodies(bus, "slow"), []);
});

test("a handler that has lost its lease stores nothing, and the next attempt does", async (t) => {
  const bus = await testBus(t);
  const gate = deferred();
  let calls = 0;
  bus.handle(Work, { timeout: "10s", retry: ONE_RETRY }, async (number, ctx) => {
    calls += 1;
    await ctx.send(Result, number + calls);
    if (calls === 1) await gate.promise;
  });
  await bus.send(Work, 0);
  await bus.advance("12s");
  assert.deepEqual(bus.valuesOf(Result), [2]);
  gate.resolve();
  await bus.settled();
  assert.deepEqual(bus.valuesOf(Result), [2]);
});

test("what is sent after the answer is refused", async (t) => {
  const bus = await testBus(t);
  const late: (() => Promise<void>)[] = [];
  bus.handle(Work, async (number, ctx) => {
    late.push(() => ctx.send(Result, number));
    if (number === 1) await ctx.send(Result, number);
  });
  await bus.sendMany(Work, [0, 1]);
  await bus.settled();
  for (const send of late) await failsWith("TRANSACTION_ENDED", send, /awaited/);
  assert.deepEqual(bus.valuesOf(Result), [1]);
});

test("a batch stores what it sent with the messages that it acknowledged, and nothing of the others", async (t) => {
  const bus = await testBus(t);
  bus.handle(Work, { batch: { max: 10 }, retry: ONE_RETRY }, async (batch, ctx) => {
    const good = batch.items.filter(({ value, attempt }) => value !== 2 || attempt > 1);
    await ctx.publish(Done, good.length);
    return batch.map(async (item) => {
      await ctx.for(item).send(Result, 10 * item.value);
      return good.includes(item) ? ack() : retry();
    });
  });
  await bus.sendMany(Work, [1, 2, 3]);
  await bus.settled();
  assert.deepEqual(bus.valuesOf(Done), [2]);
  assert.deepEqual(bus.valuesOf(Result), [10, 30]);
  await bus.advance("1s");
  assert.deepEqual(bus.valuesOf(Done), [2, 1]);
  assert.deepEqual(bus.valuesOf(Result), [10, 30, 20]);
  assert.deepEqual(bus.errors, []);
});

test("a batch that cannot store what it sent fails with all that it acknowledged", async (t) => {
  const bus = await testBus(t);
  await bus.queue("small", { countMax: 1 }).send("full");
  let calls = 0;
  bus.handle(Work, { batch: { max: 10 }, retry: ONE_RETRY }, async (batch, ctx) => {
    calls += 1;
    if (calls === 1) await ctx.queue("small").send("x");
    return batch.map(() => ack());
  });
  await bus.sendMany(Work, [1, 2]);
  await bus.settled();
  assert.equal((await bus.queue("work").statistics()).settled, 0);
  await bus.advance("1s");
  assert.equal((await bus.queue("work").statistics()).settled, 2);
  assert.deepEqual(await bodies(bus, "small"), ["full"]);
});

test("an item of another batch is refused", async (t) => {
  const bus = await testBus(t);
  const problems: unknown[] = [];
  bus.handle(Work, { batch: { max: 1 } }, (batch, ctx) => {
    try {
      ctx.for({ ...batch.items[0]! });
    } catch (error) {
      problems.push(error);
    }
    return batch.map(() => ack());
  });
  await bus.send(Work, 1);
  await bus.settled();
  assert.ok(isBrokerError(problems[0], "INVALID_OPTION"));
});

test("a transaction stores all of it, acknowledgements included, and returns what its function did", async (t) => {
  const bus = await testBus(t);
  await bus.sendMany(Work, [1, 2]);
  const deliveries = await bus.queue("work").receiveBatch({ max: 2 });
  const result = await bus.transaction(async (tx) => {
    await tx.send(Result, 1);
    await tx.publish(Done, 2);
    for (const delivery of deliveries) tx.ack(delivery);
    assert.deepEqual(bus.valuesOf(Result), []);
    assert.equal((await bus.queue("work").statistics()).inFlight, 2);
    return "well";
  });
  assert.equal(result, "well");
  assert.deepEqual(bus.valuesOf(Result), [1]);
  assert.deepEqual(bus.valuesOf(Done), [2]);
  assert.equal((await bus.queue("work").statistics()).settled, 2);
  await failsWith("LEASE_LOST", () => deliveries[0]!.ack());
});

test("a transaction that throws leaves nothing, and its deliveries stay with their receiver", async (t) => {
  const bus = await testBus(t);
  await bus.send(Work, 1);
  const [delivery] = await bus.queue("work").receiveBatch({ max: 1 });
  const failed = bus.transaction(async (tx) => {
    await tx.send(Result, 1);
    tx.ack(delivery!);
    throw new Error("changed my mind");
  });
  await assert.rejects(failed, /changed my mind/);
  assert.deepEqual(await bodies(bus, "result"), []);
  assert.equal((await bus.queue("work").statistics()).inFlight, 1);
  await delivery!.ack();
});

test("a transaction with a lost delivery, or one of another bus, is refused as a whole", async (t) => {
  const bus = await testBus(t);
  const other = await testBus(t);
  for (const one of [bus, other]) await one.send(Work, 1);
  const [lost] = await bus.queue("work").receiveBatch({ max: 1, lease: "1s" });
  const [foreign] = await other.queue("work").receiveBatch({ max: 1 });
  await bus.advance("2s");
  const acknowledging = (delivery: typeof lost) => () =>
    bus.transaction(async (tx) => {
      await tx.send(Result, 1);
      tx.ack(delivery!);
    });
  await failsWith("LEASE_LOST", acknowledging(lost));
  await failsWith("INVALID_OPTION", acknowledging(foreign), /this bus/);
  await failsWith("INVALID_OPTION", acknowledging({} as never), /this bus/);
  assert.deepEqual(await bodies(bus, "result"), []);
});

test("a transaction that has ended takes nothing more", async (t) => {
  const bus = await testBus(t);
  const late = await bus.transaction((tx) => tx);
  await failsWith("TRANSACTION_ENDED", () => late.send(Result, 1));
  await failsWith("TRANSACTION_ENDED", () => late.queue("q").send("a"));
  await failsWith("INVALID_OPTION", () => bus.transaction("no" as never));
  const aborted = AbortSignal.abort(new Error("late"));
  await assert.rejects(
    bus.transaction(() => undefined, { signal: aborted }),
    /late/,
  );
});

test("a transaction has a bound", async (t) => {
  const bus = await testBus(t);
  await failsWith("TRANSACTION_TOO_LARGE", () =>
    bus.transaction(async (tx) => {
      for (let count = 0; count <= 10_000; count += 1) void tx.queue("q").send("a");
    }),
  );
  assert.deepEqual(await bodies(bus, "q"), []);
  const big = Buffer.alloc(33 * 1024 * 1024);
  await bus.queue("big", { messageBytesMax: 64 * 1024 * 1024 }).declare();
  await failsWith("TRANSACTION_TOO_LARGE", () =>
    bus.transaction(async (tx) => {
      await tx.queue("big").send(big);
      await tx.queue("big").send(big);
    }),
  );
});

test("bytes may be changed once a verb of a transaction has resolved", async (t) => {
  const bus = await testBus(t);
  await bus.transaction(async (tx) => {
    const bytes = Buffer.from("before");
    await tx.queue("q").send(bytes);
    bytes.write("after!");
  });
  assert.deepEqual(await bodies(bus, "q"), ["before"]);
});

test("middleware runs around what is sent as part of something larger, and may change and refuse it", async (t) => {
  const bus = await testBus(t);
  const operations: string[] = [];
  bus.use({
    async publish({ operation, destination, messages }, next) {
      operations.push(`${operation} ${destination}`);
      for (const { headers } of messages) headers["trace"] = "1";
      if (destination === "refused") throw new Error("not there");
      assert.deepEqual(await next(), []);
    },
  });
  await bus.transaction(async (tx) => {
    await tx.send(Result, 1);
    await tx.topic("audit").publish("a");
  });
  const [result] = await collect(bus.queue("result").browse());
  assert.equal(result?.headers["trace"], "1");
  await assert.rejects(
    bus.transaction((tx) => tx.queue("refused").send("a")),
    /not there/,
  );
  assert.deepEqual(operations, ["send result", "publish audit", "send refused"]);
});

test("a bus that closes waits for answers that are being stored", async (t) => {
  const bus = await testBus(t);
  const started = deferred();
  bus.handle(Work, { concurrency: 3 }, async (number, ctx) => {
    await ctx.send(Result, number);
    if (number === 3) started.resolve();
  });
  await bus.sendMany(Work, [1, 2, 3]);
  await started.promise;
  await bus.drain();
  assert.deepEqual(bus.valuesOf(Result), [1, 2, 3]);
  assert.equal((await bus.queue("work").statistics()).settled, 3);
});
