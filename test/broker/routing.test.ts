import assert from "node:assert/strict";
import { test } from "node:test";
import type { Binding, HeaderCondition } from "../../src/broker/binding.js";
import type { Broker } from "../../src/broker/broker.js";
import { type BrokerErrorCode, isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";

const withCode =
  (code: BrokerErrorCode, text = /./) =>
  (error: unknown): boolean =>
    isBrokerError(error, code) && text.test(error.message);

type Bound = Omit<Binding, "from" | "to">;

const toQueue = (name: string, how: Bound = {}): Omit<Binding, "from"> => ({
  to: { kind: "queue", name },
  ...how,
});

const toExchange = (name: string, how: Bound = {}): Omit<Binding, "from"> => ({
  to: { kind: "exchange", name },
  ...how,
});

/** Where a message goes, by name. */
function reached(
  broker: Broker,
  exchange: string,
  {
    subject = "s",
    key = null,
    headers,
  }: { subject?: string; key?: string | null; headers?: Record<string, string> } = {},
): string[] {
  const properties = headers === undefined ? {} : { headers };
  const appended = broker.publish(message("m", { subject, key, ...properties }), exchange);
  return appended.map(({ destination }) => destination);
}

async function withQueues(world: BrokerWorld, names: readonly string[]): Promise<Broker> {
  const broker = await world.open();
  for (const name of names) await broker.declareQueue(name);
  return broker;
}

test("a direct exchange leads to what is bound with the very subject", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "b", "both"]);
  await broker.declareExchange("x", { kind: "direct" });
  for (const [queue, pattern] of [
    ["a", "one"],
    ["b", "two"],
    ["both", "one"],
    ["both", "two"],
  ] as const)
    await broker.bind({ from: "x", ...toQueue(queue, { pattern }) });
  assert.deepEqual(reached(broker, "x", { subject: "one" }), ["a", "both"]);
  assert.deepEqual(reached(broker, "x", { subject: "two" }), ["b", "both"]);
  assert.deepEqual(reached(broker, "x", { subject: "three" }), []);
  await broker.unbind({ from: "x", ...toQueue("both", { pattern: "one" }) });
  assert.deepEqual(reached(broker, "x", { subject: "one" }), ["a"]);
  assert.deepEqual(reached(broker, "x", { subject: "two" }), ["b", "both"]);
  await broker.close();
});

test("the empty subject has no levels: '#' matches it, '*' and '>' do not, and bound with it is only what is bound so", async () => {
  const broker = await withQueues(new BrokerWorld(), ["all", "one", "some", "none"]);
  for (const [queue, pattern] of [
    ["all", "#"],
    ["one", "*"],
    ["some", ">"],
    ["none", ""],
  ] as const)
    await broker.bind(toQueue(queue, { pattern }));
  assert.deepEqual(reached(broker, "", { subject: "" }).sort(), ["all", "none"]);
  assert.deepEqual(reached(broker, "", { subject: "." }).sort(), ["all", "some"]);
  await broker.declareExchange("x", { kind: "direct" });
  await broker.bind({ from: "x", ...toQueue("none", { pattern: "" }) });
  await broker.bind({ from: "x", ...toQueue("one", { pattern: "a..b" }) });
  assert.deepEqual(reached(broker, "x", { subject: "" }), ["none"]);
  assert.deepEqual(reached(broker, "x", { subject: "a..b" }), ["one"]);
  assert.deepEqual(reached(broker, "x", { subject: "a.b" }), []);
  await broker.close();
});

test("a fanout exchange leads to all that is bound, topics first", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "b"]);
  await broker.declareTopic("log");
  await broker.declareExchange("x", { kind: "fanout" });
  await broker.bind({ from: "x", ...toQueue("a") });
  await broker.bind({ from: "x", ...toQueue("b") });
  await broker.bind({ from: "x", to: { kind: "topic", name: "log" } });
  assert.deepEqual(reached(broker, "x", { subject: "anything" }), ["log", "a", "b"]);
  await broker.unbind({ from: "x", ...toQueue("a") });
  assert.deepEqual(reached(broker, "x", { subject: "anything" }), ["log", "b"]);
  await broker.close();
});

test("a topic exchange of its own knows nothing of what is bound to the bus", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "b"]);
  await broker.declareExchange("x");
  await broker.bind({ from: "x", ...toQueue("a", { pattern: "order.*" }) });
  await broker.bind(toQueue("b", { pattern: "order.#" }));
  assert.deepEqual(reached(broker, "x", { subject: "order.placed" }), ["a"]);
  assert.deepEqual(reached(broker, "x", { subject: "order.a.b" }), []);
  assert.deepEqual(reached(broker, "", { subject: "order.placed" }), ["b"]);
  await broker.close();
});

test("a headers exchange looks for all headers, or for any", async () => {
  const broker = await withQueues(new BrokerWorld(), ["both", "either", "every"]);
  await broker.declareExchange("x", { kind: "headers" });
  const values = { region: "eu", tier: "gold" };
  const bind = (queue: string, headers: HeaderCondition): Promise<void> =>
    broker.bind({ from: "x", ...toQueue(queue, { headers }) });
  await bind("both", { match: "all", values });
  await bind("either", { match: "any", values });
  await bind("every", { match: "all", values: {} });
  assert.deepEqual(reached(broker, "x", { headers: values }), ["both", "either", "every"]);
  assert.deepEqual(reached(broker, "x", { headers: { region: "eu" } }), ["either", "every"]);
  assert.deepEqual(reached(broker, "x", { headers: { region: "us", tier: "gold", more: "1" } }), [
    "either",
    "every",
  ]);
  assert.deepEqual(reached(broker, "x", { headers: { region: "EU" } }), ["every"]);
  assert.deepEqual(reached(broker, "x"), ["every"]);
  // Named in another order, it is the same binding.
  const turned = { tier: "gold", region: "eu" };
  await broker.unbind({ from: "x", ...toQueue("both", { headers: { match: "all", values: turned } }) });
  assert.deepEqual(reached(broker, "x", { headers: values }), ["either", "every"]);
  await broker.close();
});

test("a consistent-hash exchange leads to one, always the same for a key, or else for a subject", async () => {
  const world = new BrokerWorld();
  const names = ["a", "b", "c"];
  const broker = await withQueues(world, names);
  await broker.declareExchange("x", { kind: "consistent-hash" });
  assert.deepEqual(reached(broker, "x", { key: "k" }), []);
  for (const name of names) await broker.bind({ from: "x", ...toQueue(name) });
  const homes = (of: Broker): string[][] =>
    Array.from({ length: 60 }, (_, i) => reached(of, "x", { subject: "same", key: `k-${i}` }));
  const before = homes(broker);
  assert.ok(before.every(({ length }) => length === 1));
  assert.deepEqual(new Set(before.flat()), new Set(names));
  assert.deepEqual(homes(broker), before);
  const bySubject = Array.from({ length: 60 }, (_, i) => reached(broker, "x", { subject: `k-${i}` }));
  assert.deepEqual(bySubject, before);
  await broker.close();
  const again = await world.open();
  assert.deepEqual(homes(again), before);
  await again.close();
});

test("exchanges lead on to exchanges, each queue gets a message once, and circles do no harm", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "b"]);
  for (const name of ["x", "y", "z"]) await broker.declareExchange(name, { kind: "fanout" });
  await broker.bind(toExchange("x", { pattern: "order.#" }));
  await broker.bind({ from: "x", ...toExchange("y") });
  await broker.bind({ from: "y", ...toExchange("z") });
  await broker.bind({ from: "z", ...toExchange("x") });
  await broker.bind({ from: "x", ...toExchange("x") });
  await broker.bind({ from: "x", ...toQueue("a") });
  await broker.bind({ from: "y", ...toQueue("a") });
  await broker.bind({ from: "z", ...toQueue("b") });
  assert.deepEqual(reached(broker, "", { subject: "order.placed" }).sort(), ["a", "b"]);
  for (const start of ["x", "y", "z"]) assert.deepEqual(reached(broker, start).sort(), ["a", "b"]);
  await broker.close();
});

test("what is bound anywhere on the way counts at once, although routes are remembered", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "b"]);
  await broker.declareExchange("x", { kind: "fanout" });
  await broker.bind(toExchange("x", { pattern: "s" }));
  assert.deepEqual(reached(broker, ""), []);
  await broker.bind({ from: "x", ...toQueue("a") });
  assert.deepEqual(reached(broker, ""), ["a"]);
  await broker.bind({ from: "x", ...toQueue("b") });
  assert.deepEqual(reached(broker, ""), ["a", "b"]);
  await broker.unbind({ from: "x", ...toQueue("a") });
  assert.deepEqual(reached(broker, ""), ["b"]);
  await broker.deleteExchange("x");
  assert.deepEqual(reached(broker, ""), []);
  await broker.close();
});

test("a subject is not remembered where headers or keys decide further on", async () => {
  const broker = await withQueues(new BrokerWorld(), ["eu", "us"]);
  await broker.declareExchange("region", { kind: "headers" });
  await broker.bind(toExchange("region", { pattern: "#" }));
  for (const region of ["eu", "us"]) {
    const headers = { match: "all", values: { region } } as const;
    await broker.bind({ from: "region", ...toQueue(region, { headers }) });
  }
  for (const region of ["eu", "us", "eu"])
    assert.deepEqual(reached(broker, "", { subject: "s", headers: { region } }), [region]);
  await broker.close();
});

test("more subjects than are remembered still lead where they should", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a"]);
  await broker.declareExchange("x", { kind: "direct" });
  await broker.bind({ from: "x", ...toQueue("a", { pattern: "s.7" }) });
  for (let i = 0; i < 10_050; i += 1)
    assert.equal(
      broker.publish(message("m", { subject: `s.${i}` }), i % 2 === 0 ? "" : "x").length,
      i === 7 ? 1 : 0,
    );
  assert.deepEqual(reached(broker, "x", { subject: "s.7" }), ["a"]);
  await broker.close();
});

test("bindings that a tag alone tells apart lead on once, until the last of them is unbound or their queue goes", async () => {
  const world = new BrokerWorld();
  const broker = await withQueues(world, ["a"]);
  await broker.declareExchange("x", { kind: "fanout" });
  for (const tag of ["one", "two", undefined]) await broker.bind({ from: "x", ...toQueue("a", { tag }) });
  assert.equal(broker.bindings.length, 3);
  assert.deepEqual(reached(broker, "x"), ["a"]);
  await broker.unbind({ from: "x", ...toQueue("a", { tag: "one" }) });
  await broker.unbind({ from: "x", ...toQueue("a") });
  assert.deepEqual(reached(broker, "x"), ["a"]);
  await broker.close();
  const again = await world.open();
  assert.deepEqual(reached(again, "x"), ["a"]);
  await again.bind({ from: "x", ...toQueue("a", { tag: "three" }) });
  await again.unbind({ from: "x", ...toQueue("a", { tag: "two" }) });
  assert.deepEqual(reached(again, "x"), ["a"]);
  await again.deleteQueue("a");
  assert.deepEqual(reached(again, "x"), []);
  assert.deepEqual(again.bindings, []);
  await again.close();
});

test("a header of any value is asked for with null", async () => {
  const broker = await withQueues(new BrokerWorld(), ["all", "any"]);
  await broker.declareExchange("x", { kind: "headers" });
  for (const match of ["all", "any"] as const) {
    const headers: HeaderCondition = { match, values: { region: null, kind: "a" } };
    await broker.bind({ from: "x", ...toQueue(match, { headers }) });
  }
  assert.deepEqual(reached(broker, "x", { headers: { region: "eu", kind: "a" } }), ["all", "any"]);
  assert.deepEqual(reached(broker, "x", { headers: { region: "" } }), ["any"]);
  assert.deepEqual(reached(broker, "x", { headers: { kind: "b" } }), []);
  await broker.close();
});

test("what is broadcast by several subjects reaches each queue once, as one step", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "b"]);
  await broker.declareExchange("x", { kind: "direct" });
  for (const [queue, pattern] of [
    ["a", "one"],
    ["a", "two"],
    ["b", "two"],
  ] as const)
    await broker.bind({ from: "x", ...toQueue(queue, { pattern }) });
  const { appended } = broker.broadcast(message("m", { subject: "one" }), "x", ["two", "three"]);
  assert.deepEqual(
    appended.map(({ destination }) => destination),
    ["a", "b"],
  );
  await broker.close();
});

test("an alternate that may be missing gets nothing until it is there", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a"]);
  await broker.declareExchange("x", { kind: "direct", alternate: "rest" }, true);
  assert.deepEqual(reached(broker, "x"), []);
  await broker.declareExchange("rest", { kind: "fanout" });
  await broker.bind({ from: "rest", ...toQueue("a") });
  assert.deepEqual(reached(broker, "x"), ["a"]);
  await broker.close();
});

test("an alternate gets what an exchange leads nowhere, and nothing else", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "rest", "last"]);
  await broker.declareExchange("last", { kind: "fanout" });
  await broker.declareExchange("rest", { kind: "topic", alternate: "last" });
  await broker.declareExchange("x", { kind: "direct", alternate: "rest" });
  await broker.bind({ from: "x", ...toQueue("a", { pattern: "one" }) });
  await broker.bind({ from: "rest", ...toQueue("rest", { pattern: "two" }) });
  await broker.bind({ from: "last", ...toQueue("last") });
  assert.deepEqual(reached(broker, "x", { subject: "one" }), ["a"]);
  assert.deepEqual(reached(broker, "x", { subject: "two" }), ["rest"]);
  assert.deepEqual(reached(broker, "x", { subject: "three" }), ["last"]);
  // What is bound for the message counts, wherever that leads.
  await broker.declareExchange("empty", { kind: "fanout" });
  await broker.bind({ from: "x", ...toExchange("empty", { pattern: "two" }) });
  assert.deepEqual(reached(broker, "x", { subject: "two" }), []);
  await broker.deleteExchange("rest");
  assert.deepEqual(reached(broker, "x", { subject: "three" }), []);
  await broker.close();
});

test("each exchange on the way has its own alternate, also where a queue is reached anyhow", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a", "rest"]);
  await broker.declareExchange("rest", { kind: "fanout" });
  await broker.bind({ from: "rest", ...toQueue("rest") });
  await broker.declareExchange("x", { kind: "fanout" });
  await broker.declareExchange("y", { kind: "direct", alternate: "rest" });
  await broker.bind({ from: "x", ...toQueue("a") });
  await broker.bind({ from: "x", ...toExchange("y") });
  await broker.bind({ from: "y", ...toQueue("a", { pattern: "known" }) });
  assert.deepEqual(reached(broker, "x", { subject: "known" }), ["a"]);
  assert.deepEqual(reached(broker, "x", { subject: "unknown" }), ["a", "rest"]);
  await broker.close();
});

test("a thousand exchanges in a row lead to their end, and a circle of alternates does no harm", async () => {
  const broker = await withQueues(new BrokerWorld(), ["end"]);
  const names = Array.from({ length: 1_000 }, (_, i) => `x${i}`);
  await Promise.all(names.map((name) => broker.declareExchange(name, { kind: "fanout" })));
  const bindings = names.map((from, i) =>
    broker.bind({ from, ...(i === 999 ? toQueue("end") : toExchange(`x${i + 1}`)) }),
  );
  await Promise.all(bindings);
  assert.deepEqual(reached(broker, "x0"), ["end"]);
  await broker.declareExchange("one", { kind: "direct" });
  await broker.declareExchange("two", { kind: "direct", alternate: "one" });
  await broker.deleteExchange("one");
  await broker.declareExchange("one", { kind: "direct", alternate: "two" });
  assert.deepEqual(reached(broker, "one"), []);
  await broker.close();
});

test("exchanges and bindings are there after a restart, and what was removed is not", async () => {
  const world = new BrokerWorld();
  const broker = await withQueues(world, ["a", "b"]);
  await broker.declareTopic("log");
  await broker.declareExchange("rest", { kind: "fanout" });
  await broker.declareExchange("x", { kind: "direct", alternate: "rest" });
  await broker.declareExchange("h", { kind: "headers" });
  await broker.declareExchange("c", { kind: "consistent-hash" });
  await broker.declareExchange("gone", { kind: "fanout" });
  const headers = { match: "any", values: { a: "1", b: "2" } } as const;
  const bindings: Binding[] = [
    { from: "", ...toQueue("a", { pattern: "order.>" }) },
    { from: "", to: { kind: "topic", name: "log" }, pattern: "#" },
    { from: "", ...toExchange("x", { pattern: "order.*" }) },
    { from: "x", ...toQueue("b", { pattern: "order.placed" }) },
    { from: "h", ...toQueue("b", { headers }) },
    { from: "c", ...toQueue("a", { weight: 3 }) },
    { from: "rest", ...toQueue("b") },
  ];
  for (const binding of bindings) await broker.bind(binding);
  await broker.bind({ from: "gone", ...toQueue("a") });
  await broker.bind({ from: "rest", ...toExchange("gone") });
  await broker.bind({ from: "x", ...toQueue("a", { pattern: "unbound" }) });
  await broker.unbind({ from: "x", ...toQueue("a", { pattern: "unbound" }) });
  await broker.deleteExchange("gone");
  await broker.close();

  for (let life = 0; life < 2; life += 1) {
    const again = await world.open();
    const options = [...again.exchanges].map(({ name, options: { kind, alternate } }) => [
      name,
      kind,
      alternate,
    ]);
    assert.deepEqual(options.sort(), [
      ["c", "consistent-hash", undefined],
      ["h", "headers", undefined],
      ["rest", "fanout", undefined],
      ["x", "direct", "rest"],
    ]);
    const sorted = (all: readonly Binding[]): string[] =>
      all.map((binding) => JSON.stringify(binding)).sort();
    assert.deepEqual(sorted(again.bindings), sorted(bindings));
    assert.deepEqual(reached(again, "", { subject: "order.placed" }), ["log", "a", "b"]);
    assert.deepEqual(reached(again, "h", { headers: { b: "2" } }), ["b"]);
    assert.deepEqual(reached(again, "c"), ["a"]);
    assert.deepEqual(reached(again, "x", { subject: "other" }), ["b"]);
    await again.close();
  }
});

test("an exchange that is declared anew has nothing of the bindings that it had before", async () => {
  const world = new BrokerWorld();
  const broker = await withQueues(world, ["a"]);
  for (let life = 0; life < 2; life += 1) {
    await broker.declareExchange("x", { kind: "fanout" });
    assert.deepEqual(reached(broker, "x"), []);
    await broker.bind({ from: "x", ...toQueue("a") });
    await broker.bind(toExchange("x", { pattern: "s" }));
    assert.deepEqual(reached(broker, ""), ["a"]);
    await broker.deleteExchange("x");
  }
  await broker.close();
  const again = await world.open();
  await again.declareExchange("x", { kind: "direct" });
  assert.deepEqual([reached(again, "x"), reached(again, ""), again.bindings], [[], [], []]);
  await again.close();
});

test("what is bound to an exchange while it is deleted is refused, or goes with it", async () => {
  const world = new BrokerWorld();
  const broker = await withQueues(world, ["a", "b"]);
  await broker.declareExchange("x", { kind: "fanout" });
  const [bound, deleted] = await Promise.allSettled([
    broker.bind({ from: "x", ...toQueue("a") }),
    broker.deleteExchange("x"),
    broker.bind({ from: "x", ...toQueue("b") }),
  ]);
  assert.equal(deleted.status, "fulfilled");
  if (bound.status === "rejected") assert.ok(isBrokerError(bound.reason, "EXCHANGE_NOT_FOUND"));
  assert.deepEqual(broker.bindings, []);
  await broker.close();
  const again = await world.open();
  await again.declareExchange("x", { kind: "fanout" });
  assert.deepEqual([again.bindings, reached(again, "x")], [[], []]);
  await again.close();
});

test("an exchange goes with all of its bindings or stays with them, when the power fails meanwhile", async () => {
  let wentAndStayed = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const world = new BrokerWorld(seed);
    const broker = await withQueues(world, ["a", "b"]);
    await broker.declareExchange("x", { kind: "fanout" });
    await broker.bind({ from: "x", ...toQueue("a") });
    await broker.bind({ from: "x", ...toQueue("b") });
    await broker.bind(toExchange("x", { pattern: "s" }));
    broker.deleteExchange("x").catch(() => undefined);
    await world.turns(seed % 8);
    world.crash(true);
    const again = await world.open();
    const isThere = [...again.exchanges].length === 1;
    wentAndStayed |= isThere ? 1 : 2;
    assert.equal(again.bindings.length, isThere ? 3 : 0, `seed ${seed}`);
    assert.deepEqual(reached(again, ""), isThere ? ["a", "b"] : [], `seed ${seed}`);
    await again.close();
  }
  assert.equal(wentAndStayed, 3);
});

test("declaring an exchange again finds it, and a difference is named", async () => {
  const broker = await (await new BrokerWorld()).open();
  await broker.declareExchange("rest", { kind: "fanout" });
  const made = await broker.declareExchange("x", { kind: "headers", alternate: "rest" });
  assert.equal(await broker.declareExchange("x"), made);
  assert.equal(await broker.declareExchange("x", { kind: "headers" }), made);
  await assert.rejects(
    broker.declareExchange("x", { kind: "direct" }),
    withCode("EXCHANGE_MISMATCH", /Exchange x .*kind "headers".*kind "direct"/),
  );
  await assert.rejects(
    broker.declareExchange("x", { alternate: "x" }),
    withCode("EXCHANGE_MISMATCH", /rest/),
  );
  await broker.close();
});

test("an exchange, its options and its bindings are refused with what is wrong about them", async () => {
  const broker = await withQueues(new BrokerWorld(), ["a"]);
  for (const kind of ["direct", "fanout", "topic", "headers", "consistent-hash"] as const)
    await broker.declareExchange(kind, { kind });
  await assert.rejects(broker.declareExchange(""), withCode("INVALID_NAME", /exchange name '' is empty/));
  await assert.rejects(broker.declareExchange("a/b"), withCode("INVALID_NAME"));
  const kind = "round-robin" as "direct";
  await assert.rejects(
    broker.declareExchange("x", { kind }),
    withCode("INVALID_OPTION", /kind.*direct, fanout/),
  );
  const misspelt = { alternates: "direct" } as object;
  await assert.rejects(broker.declareExchange("x", misspelt), withCode("INVALID_OPTION", /no such option/));
  await assert.rejects(
    broker.declareExchange("x", { alternate: "nobody" }),
    withCode("EXCHANGE_NOT_FOUND", /nobody/),
  );
  await assert.rejects(broker.deleteExchange("x"), withCode("EXCHANGE_NOT_FOUND"));
  assert.throws(() => reached(broker, "x"), withCode("EXCHANGE_NOT_FOUND"));
  await assert.rejects(broker.bind({ from: "x", ...toQueue("a") }), withCode("EXCHANGE_NOT_FOUND"));
  await assert.rejects(broker.bind({ from: "fanout", ...toQueue("b") }), withCode("QUEUE_NOT_FOUND"));
  await assert.rejects(broker.bind({ from: "fanout", ...toExchange("x") }), withCode("EXCHANGE_NOT_FOUND"));
  const headers = { match: "all", values: { a: "1" } } as const;
  const wrong: [string, Bound, BrokerErrorCode, RegExp][] = [
    ["direct", {}, "INVALID_SUBJECT", /./],
    ["direct", { pattern: "order.*" }, "INVALID_SUBJECT", /wildcard '\*'/],
    ["topic", {}, "INVALID_SUBJECT", /./],
    ["topic", { pattern: "a.>.b" }, "INVALID_SUBJECT", /./],
    ["topic", { pattern: "a", weight: 1 }, "INVALID_OPTION", /exchange topic has no weight.*give pattern/],
    ["fanout", { pattern: "a" }, "INVALID_OPTION", /exchange fanout has no pattern/],
    ["headers", {}, "INVALID_OPTION", /headers/],
    ["headers", { pattern: "a", headers }, "INVALID_OPTION", /no pattern/],
    [
      "headers",
      { headers: { ...headers, match: "some" as "any" } },
      "INVALID_OPTION",
      /headers\.match.*all or any/,
    ],
    ["headers", { headers: { match: "any", values: {} } }, "INVALID_OPTION", /headers\.values/],
    ["headers", { headers: { match: "all", values: { "omnibus-id": "1" } } }, "INVALID_OPTION", /omnibus-/],
    [
      "headers",
      { headers: { match: "all", values: { a: 1 as unknown as string } } },
      "INVALID_OPTION",
      /values\.a/,
    ],
    ["consistent-hash", { weight: 0 }, "INVALID_OPTION", /weight.*1 to 1000/],
    ["consistent-hash", { weight: 1.5 }, "INVALID_OPTION", /weight/],
    ["consistent-hash", { weight: 1001 }, "INVALID_OPTION", /weight/],
  ];
  for (const [from, how, code, text] of wrong) {
    await assert.rejects(
      broker.bind({ from, ...toQueue("a", how) }),
      withCode(code, text),
      `${from} ${text}`,
    );
    await assert.rejects(broker.unbind({ from, ...toQueue("a", how) }), withCode(code, text));
  }
  assert.deepEqual(broker.bindings, []);
  await broker.close();
});

test("what cannot be stored is not declared, bound or deleted", async () => {
  const world = new BrokerWorld();
  const broker = await withQueues(world, ["a"]);
  await broker.declareExchange("x", { kind: "fanout" });
  await broker.bind({ from: "x", ...toQueue("a") });
  world.disk.capacityBytes = 0;
  await assert.rejects(broker.declareExchange("y"), withCode("DISK_FULL"));
  await assert.rejects(broker.bind(toExchange("x", { pattern: "s" })), withCode("DISK_FULL"));
  await assert.rejects(broker.unbind({ from: "x", ...toQueue("a") }), withCode("DISK_FULL"));
  await assert.rejects(broker.deleteExchange("x"), withCode("DISK_FULL"));
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  assert.deepEqual(
    [...broker.exchanges].map(({ name }) => name),
    ["x"],
  );
  assert.deepEqual(reached(broker, "x"), ["a"]);
  assert.deepEqual(reached(broker, ""), []);
  await broker.close();
});

function exchangesOf(broker: Broker): string[] {
  return [...broker.exchanges].map(({ name }) => name).sort();
}

test("an exchange that goes by itself goes with its last binding, and those go with it that led to it alone", async () => {
  const world = new BrokerWorld();
  const broker = await withQueues(world, ["a", "b"]);
  await broker.declareTopic("log");
  for (const name of ["by-unbind", "by-queue", "by-topic", "never-bound", "first", "second"])
    await broker.declareExchange(name, { kind: "fanout", autoDelete: true });
  await broker.declareExchange("staying", { kind: "fanout" });
  const bind = (from: string, binding: Omit<Binding, "from">): Promise<void> =>
    broker.bind({ from, ...binding });
  await bind("by-unbind", toQueue("a"));
  await bind("by-unbind", toQueue("b"));
  await bind("by-queue", toQueue("b"));
  await bind("staying", toQueue("b"));
  await bind("by-topic", { to: { kind: "topic", name: "log" } });
  await bind("first", toExchange("second"));
  await bind("second", toQueue("a"));
  await broker.unbind({ from: "never-bound", ...toQueue("a") });
  await Promise.all(["a", "b"].map((name) => broker.unbind({ from: "by-unbind", ...toQueue(name) })));
  assert.equal(exchangesOf(broker).includes("by-unbind"), false);
  await broker.deleteQueue("b");
  await broker.deleteTopic("log");
  assert.deepEqual(exchangesOf(broker), ["first", "never-bound", "second", "staying"]);
  await broker.unbind({ from: "second", ...toQueue("a") });
  assert.deepEqual(exchangesOf(broker), ["never-bound", "staying"]);
  assert.deepEqual(broker.bindings, []);
  await broker.close();
  const again = await world.open();
  assert.deepEqual(exchangesOf(again), ["never-bound", "staying"]);
  await again.declareExchange("staying", { kind: "fanout", autoDelete: false });
  await assert.rejects(
    again.declareExchange("never-bound", { autoDelete: false }),
    withCode("EXCHANGE_MISMATCH", /autoDelete/),
  );
  await again.close();
});
