import assert from "node:assert/strict";
import { test } from "node:test";
import type { Binding } from "../../src/broker/binding.js";
import type { Broker } from "../../src/broker/broker.js";
import { type BrokerErrorCode, isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld } from "../support/broker-world.js";
import { type Bound, reached, toExchange, toQueue, withQueues } from "../support/routes.js";
import { withCode } from "../support/with-code.js";

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
