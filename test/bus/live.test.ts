import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { bytes, event, type LiveOptions, type LiveSubscription } from "../../src/index.js";
import { collect, diskBus, failsWith, testBus } from "../support/buses.js";

const Placed = event<number>("order.placed");
const Paid = event<number>("order.paid");

async function drained(live: LiveSubscription): Promise<string[]> {
  live.close();
  return (await collect(live)).map((message) => `${message.subject} ${message.text()}`);
}

test("a live subscription sees what is published from now on and matches its pattern", async (t) => {
  const bus = await testBus(t);
  await bus.publish(Placed, 0);
  const all = bus.subscribe("order.#");
  const paid = bus.subscribe("*.paid");
  const none = bus.subscribe("payment.>");
  await bus.publish(Placed, 1);
  await bus.publish(Paid, 2);
  await bus.topic("order").publish("3", { subject: "order.x.y" });
  await bus.settled();
  assert.deepEqual(await drained(all), ["order.placed 1", "order.paid 2", "order.x.y 3"]);
  assert.deepEqual(await drained(paid), ["order.paid 2"]);
  assert.deepEqual(await drained(none), []);
});

test("messages come while one waits for them, with what is known of them", async (t) => {
  const bus = await diskBus(t);
  const live = bus.subscribe("#");
  const seen: string[] = [];
  const watching = (async () => {
    for await (const message of live) {
      seen.push(`${message.id} ${message.json<number>()}`);
      if (seen.length === 2) break;
    }
  })();
  const receipts = [await bus.publish(Placed, 1), await bus.publish(Paid, 2)];
  await watching;
  assert.deepEqual(seen, [`${receipts[0]!.id} 1`, `${receipts[1]!.id} 2`]);
});

const POLICIES: readonly (readonly [LiveOptions["whenFull"], string[]])[] = [
  [undefined, ["order.placed 3", "order.placed 4"]],
  ["drop-oldest", ["order.placed 3", "order.placed 4"]],
  ["drop-newest", ["order.placed 1", "order.placed 2"]],
];

for (const [whenFull, expected] of POLICIES) {
  test(`a full buffer: ${whenFull ?? "by default"} keeps ${expected.join(" and ")}, and counts the others`, async (t) => {
    const bus = await testBus(t);
    const live = bus.subscribe("#", { buffer: 2, ...(whenFull === undefined ? {} : { whenFull }) });
    await bus.publishMany(Placed, [1, 2, 3, 4]);
    await bus.settled();
    assert.equal(live.dropped, 2);
    assert.deepEqual(await drained(live), expected);
  });
}

test("a full buffer with disconnect ends the stream with an error, after what it held", async (t) => {
  const bus = await testBus(t);
  const live = bus.subscribe("#", { buffer: 2, whenFull: "disconnect" });
  const other = bus.subscribe("#");
  await bus.publishMany(Placed, [1, 2, 3, 4]);
  await bus.settled();
  const seen: number[] = [];
  await failsWith("SLOW_SUBSCRIBER", async () => {
    for await (const message of live) seen.push(message.json());
  });
  assert.deepEqual(seen, [1, 2]);
  assert.equal(live.dropped, 1);
  assert.equal((await drained(other)).length, 4);
});

test("a full buffer with wait misses nothing of topics, and holds up whoever publishes live", async (t) => {
  const bus = await diskBus(t);
  const live = bus.subscribe("order.*", { buffer: 2, whenFull: "wait" });
  await bus.publishMany(Placed, [1, 2, 3, 4, 5]);
  let isTaken = false;
  const published = bus.publishLive(Paid, 6).then((takenBy) => {
    isTaken = true;
    return takenBy;
  });
  const abort = new AbortController();
  const given = bus.publishLive(Paid, 7, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(given, /enough/);
  assert.equal(isTaken, false);
  const seen: string[] = [];
  for await (const message of live)
    if (seen.push(`${message.subject} ${message.text()} ${message.isStored}`) === 6) break;
  assert.equal(await published, 1);
  assert.deepEqual(
    seen.filter((text) => text.startsWith("order.placed")),
    [1, 2, 3, 4, 5].map((n) => `order.placed ${n} true`),
  );
  assert.ok(seen.includes("order.paid 6 false"));
  assert.equal(live.dropped, 0);
});

test("what is published live is seen at once, checked, and nowhere else", async (t) => {
  const bus = await testBus(t);
  const Checked = event("cursor.moved", { schema: z.object({ x: z.number() }), key: ({ x }) => `k${x}` });
  assert.equal(await bus.publishLive(Checked, { x: 1 }), 0);
  const all = bus.subscribe("cursor.#");
  const shared = [1, 2].map(() => bus.subscribe("#", { group: "g" }));
  const Raw = event("cursor.raw", { codec: bytes });
  const body = Buffer.from("abc");
  assert.equal(await bus.publishLive(Checked, { x: 2 }, { id: "i", headers: { a: "b" } }), 2);
  assert.equal(await bus.publishLive(Raw, body), 2);
  body.fill("0");
  await failsWith("INVALID_PAYLOAD", () => bus.publishLive(Checked, { x: "no" as never }));
  await failsWith("INVALID_OPTION", () => bus.publishLive(Checked, { x: 1 }, { delay: "1s" } as object));
  await failsWith("INVALID_OPTION", () => bus.subscribe("#", { group: "g", whenFull: "wait" }), /group/);
  all.close();
  const [moved, raw] = await collect(all);
  assert.deepEqual(
    [moved!.id, moved!.subject, moved!.key, moved!.headers, moved!.value, moved!.contentType, moved!.source],
    ["i", "cursor.moved", "k2", { a: "b" }, { x: 2 }, "application/json", ""],
  );
  assert.deepEqual([raw!.text(), raw!.id, raw!.isStored, raw!.isRetained], ["abc", "", false, false]);
  assert.equal((await Promise.all(shared.map(drained))).flat().length, 2);
  assert.deepEqual(bus.statistics().topics, []);
});

test("close, the signal, and the bus end the stream quietly, while it waits and before", async (t) => {
  const bus = await testBus(t);
  const abort = new AbortController();
  const ends: ((live: LiveSubscription) => void)[] = [(live) => live.close(), () => abort.abort()];
  for (const end of ends) {
    const live = bus.subscribe("#", { signal: abort.signal });
    const seen = collect(live);
    await bus.settled();
    end(live);
    assert.deepEqual(await seen, []);
    live.close();
  }
  assert.deepEqual(await collect(bus.subscribe("#", { signal: abort.signal })), []);
  const seen = collect(bus.subscribe("#"));
  await bus.settled();
  await bus.close();
  assert.deepEqual(await seen, []);
});

test("a closed subscription sees nothing more, and one that is opened later begins then", async (t) => {
  const bus = await testBus(t);
  const first = bus.subscribe("#");
  await bus.publish(Placed, 1);
  first.close();
  await bus.publish(Placed, 2);
  const second = bus.subscribe("#");
  await bus.publish(Placed, 3);
  await bus.settled();
  assert.deepEqual(await drained(first), ["order.placed 1"]);
  assert.deepEqual(await drained(second), ["order.placed 3"]);
});

test("what is wrong with a live subscription is named", async (t) => {
  const bus = await testBus(t);
  const subscribe = (options: unknown) => () => bus.subscribe("#", options as LiveOptions);
  await failsWith("INVALID_OPTION", subscribe({ buffer: 0 }), /buffer is 0/);
  await failsWith("INVALID_OPTION", subscribe({ buffer: 1.5 }), /buffer is 1.5/);
  await failsWith("INVALID_OPTION", subscribe({ whenFull: "explode" }), /whenFull is "explode"/);
  await failsWith("INVALID_OPTION", subscribe({ size: 5 }), /no option size/);
  await failsWith("INVALID_SUBJECT", () => bus.subscribe("a.>.b"));
  await failsWith("INVALID_SUBJECT", () => bus.subscribe(""));
});
