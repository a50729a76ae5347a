import assert from "node:assert/strict";
import { test } from "node:test";
import type { HeaderCondition } from "../../src/broker/binding.js";
import type { Broker } from "../../src/broker/broker.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { reached, toExchange, toQueue, withQueues } from "../support/routes.js";

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
