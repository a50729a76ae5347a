import assert from "node:assert/strict";
import { test } from "node:test";
import { command, event } from "../../src/index.js";
import { collect, diskBus, failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Work = command<number>("work");
const Placed = event<number>("order.placed");
const HOUR = { window: "1h" } as const;

test("a command that is sent twice with one id is handled once, and its second receipt is the first one", async (t) => {
  const bus = await testBus(t);
  await bus.queue("work", { deduplicate: HOUR }).declare();
  const first = await bus.send(Work, 1, { id: "w-1" });
  await bus.advance("10m");
  const second = await bus.send(Work, 2, { id: "w-1" });
  assert.equal(first.isDuplicate, false);
  assert.equal(second.isDuplicate, true);
  assert.deepEqual({ ...first.toJSON(), isDuplicate: true }, second.toJSON());
  const seen: number[] = [];
  bus.handle(Work, (number) => void seen.push(number));
  await bus.settled();
  assert.deepEqual(seen, [1]);
  await bus.advance("50m");
  assert.equal((await bus.send(Work, 3, { id: "w-1" })).isDuplicate, false);
});

test("an event that is published twice with one id reaches every group, and every queue that is bound, once", async (t) => {
  const bus = await testBus(t);
  await bus.topic("order", { deduplicate: HOUR }).declare();
  const copies = await bus.queue("copies", { bind: ["order.#"] }).declare();
  const seen: string[] = [];
  for (const group of ["a", "b"]) bus.on(Placed, { group }, (number) => void seen.push(`${group} ${number}`));
  await bus.publish(Placed, 1, { id: "o-1" });
  const { isDuplicate } = await bus.publish(Placed, 2, { id: "o-1" });
  await bus.publish(Placed, 3, { id: "o-3" });
  await bus.settled();
  assert.equal(isDuplicate, true);
  assert.deepEqual(seen.sort(), ["a 1", "a 3", "b 1", "b 3"]);
  assert.equal((await copies.statistics()).published, 2);
  assert.equal((await bus.topic("order").statistics()).deduplicated, 1);
});

test("ids are remembered over restarts, on a real disk", async (t) => {
  const directory = await temporaryDirectory(t);
  const first = await withBus(directory, (bus) =>
    bus.queue("work", { deduplicate: HOUR }).send("a", { id: "1" }),
  );
  await withBus(directory, async (bus) => {
    const again = await bus.queue("work", { deduplicate: HOUR }).send("b", { id: "1" });
    assert.deepEqual([again.offset, again.isDuplicate], [first.offset, true]);
    assert.equal((await collect(bus.queue("work").browse())).length, 1);
  });
});

test("two senders at the same time get one receipt", async (t) => {
  const bus = await diskBus(t);
  const work = await bus.queue("work", { deduplicate: HOUR }).declare();
  const receipts = await Promise.all([1, 2, 3].map((body) => work.send(String(body), { id: "1" })));
  assert.deepEqual(
    receipts.map(({ offset, isDuplicate }) => [offset, isDuplicate]),
    [
      [0, false],
      [0, true],
      [0, true],
    ],
  );
  const { published, deduplicated } = await work.statistics();
  assert.deepEqual([published, deduplicated], [1, 2]);
});

test("an inbox hands a message with an id that was handled to nobody, in groups and queues", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  bus.on(Placed, { group: "billing", inbox: HOUR }, (number, ctx) => {
    seen.push(`${ctx.message.id} ${number}`);
  });
  await bus.queue("work", { inbox: HOUR }).declare();
  bus.handle(Work, { retry: { attempts: 2, delay: "1s", jitter: 0 } }, async (number, ctx) => {
    await ctx.send(command<number>("done"), number);
    if (ctx.attempt === 1) throw new Error("not yet");
    seen.push(`work ${number}`);
  });
  for (const number of [1, 2]) {
    await bus.publish(Placed, number, { id: "o-1" });
    await bus.send(Work, number, { id: "w-1" });
  }
  await bus.advance("10s");
  assert.deepEqual(seen, ["o-1 1", "work 1"]);
  assert.equal((await bus.queue("done").statistics()).published, 1);
  assert.equal((await bus.queue("work").statistics()).duplicates, 1);
  assert.equal((await bus.topic("order").group("billing").statistics()).duplicates, 1);
  assert.deepEqual(bus.errors, []);
});

test("what is remembered can be asked for again, and not changed", async (t) => {
  const bus = await testBus(t);
  await bus.queue("work", { deduplicate: HOUR, inbox: { window: "1m", idsMax: 10 } }).declare();
  await bus.queue("work", { deduplicate: { window: "60m" } }).declare();
  await failsWith(
    "QUEUE_MISMATCH",
    () => bus.queue("work", { deduplicate: { window: "2h" } }).declare(),
    /deduplicateMs 3600000 .* 7200000/,
  );
  await failsWith("QUEUE_MISMATCH", () => bus.queue("work", { inbox: HOUR }).declare(), /inboxMs/);
  await bus.topic("order", { deduplicate: HOUR }).declare();
  await failsWith("TOPIC_MISMATCH", () => bus.topic("order", { deduplicate: { window: 1 } }).declare());
  const group = bus.topic("order").group("g", { inbox: HOUR });
  await group.declare();
  await failsWith("SUBSCRIPTION_MISMATCH", () =>
    bus
      .topic("order")
      .group("g", { inbox: { window: "1s" } })
      .declare(),
  );
});

test("an option that cannot be is named", async (t) => {
  const bus = await testBus(t);
  const any = (value: unknown) => value as never;
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [{ window: 0 }, /deduplicate\.window/],
    [{ window: "1h", idsMax: 0 }, /deduplicate\.idsMax/],
    [{ window: "1h", max: 1 }, /no option max of deduplicate/],
    ["1h", /deduplicate/],
    [{}, /deduplicate\.window/],
  ];
  for (const [deduplicate, message] of refused) {
    await failsWith("INVALID_OPTION", () => bus.queue("q", any({ deduplicate })).declare(), message);
    await failsWith("INVALID_OPTION", () => bus.topic("t", any({ deduplicate })).declare(), message);
  }
  await failsWith("INVALID_OPTION", () => bus.topic("t").group("g", any({ inbox: {} })), /inbox\.window/);
  await failsWith(
    "INVALID_OPTION",
    () => bus.on(Placed, any({ group: "g", inbox: 1 }), () => undefined),
    /inbox/,
  );
});

test("what is deleted takes its ids along", async (t) => {
  const bus = await testBus(t);
  const work = bus.queue("work", { deduplicate: HOUR, inbox: HOUR });
  await work.send("a", { id: "1" });
  await work.delete();
  assert.equal((await work.send("b", { id: "1" })).isDuplicate, false);
});

test("a message that is forwarded twice into a queue that finds duplicates is there once", async (t) => {
  const bus = await testBus(t);
  const inbound = bus.queue("inbound");
  await bus.queue("outbound", { deduplicate: HOUR, bind: ["moved"] }).declare();
  for (const body of ["a", "b"]) await inbound.send(body, { id: "1" });
  await inbound.forwardTo({ subject: "moved" });
  await bus.settled();
  assert.deepEqual(
    (await collect(bus.queue("outbound").browse())).map((message) => message.text()),
    ["a"],
  );
  assert.equal((await inbound.statistics()).settled, 2);
});

test("a duplicate does not take the place of a retained message that came after the first one", async (t) => {
  const bus = await testBus(t);
  await bus.topic("order", { deduplicate: HOUR }).declare();
  for (const [number, id] of [
    [1, "a"],
    [2, "b"],
    [1, "a"],
  ] as const)
    await bus.publish(Placed, number, { id, retain: true });
  assert.deepEqual(
    (await collect(bus.retained("order.placed"))).map((message) => message.json()),
    [2],
  );
});
