import assert from "node:assert/strict";
import { test } from "node:test";
import { embedded, event, openBus } from "../../src/index.js";
import { openTestBus } from "../../src/testing/index.js";
import { collect, deadLettersOf, diskBus, failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Placed = event<{ id: string }>("order.placed");

const values = { region: "eu" };

test("publishing to an exchange resolves with a receipt for each place, when all have it on disk", async (t) => {
  const bus = await diskBus(t);
  const orders = bus.exchange("orders", { kind: "topic" });
  await orders.bind(bus.queue("work"), { pattern: "order.*" });
  await orders.bind(bus.topic("log"), { pattern: "#" });
  const options = { key: "k", headers: { colour: "red" }, id: "i" };
  const receipts = await orders.publish("order.placed", "a", options);
  assert.deepEqual(
    receipts.map(({ destination, partition, offset, id }) => [destination, partition, offset, id]),
    [
      ["log", 0, 0, "i"],
      ["work", undefined, 0, "i"],
    ],
  );
  const [message] = await collect(bus.queue("work").browse());
  assert.deepEqual(
    [message!.text(), message!.subject, message!.key, message!.headers["colour"]],
    ["a", "order.placed", "k", "red"],
  );
  assert.deepEqual(
    (await orders.publish("elsewhere", "b")).map(({ destination }) => destination),
    ["log"],
  );
});

test("a message that has to reach somebody and leads nowhere is an error, and otherwise has no receipt", async (t) => {
  const bus = await testBus(t);
  const orders = bus.exchange("orders", { kind: "direct" });
  assert.deepEqual(await orders.publish("order.placed", "a"), []);
  await failsWith(
    "UNROUTABLE",
    () => orders.publish("order.placed", "a", { mustRoute: true }),
    /Exchange orders leads this message with the subject order\.placed to no queue and no topic/,
  );
  await orders.bind(bus.queue("work"), { pattern: "order.placed" });
  assert.equal((await orders.publish("order.placed", "a", { mustRoute: true })).length, 1);
  await failsWith(
    "UNROUTABLE",
    () => bus.exchange("").publish("nowhere", "a", { mustRoute: true }),
    /^The bus leads/,
  );
});

test("a queue, a topic and an exchange can say themselves what leads to them, by pattern and by binding", async (t) => {
  const bus = await testBus(t);
  await bus.exchange("regions", { kind: "headers", bind: ["order.#"] }).declare();
  const headers = { match: "all", values } as const;
  const queue = bus.queue("eu", { bind: ["refund.*", { from: "regions", headers }] });
  await queue.declare();
  await bus.topic("audit", { bind: ["#"] }).declare();
  await bus.publish(Placed, { id: "o-1" }, { headers: values });
  await bus.publish(Placed, { id: "o-2" }, { headers: { region: "us" } });
  await bus.exchange("").publish("refund.asked", "r");
  assert.deepEqual(
    (await collect(queue.browse())).map((message) => [message.subject, message.text()]),
    [
      ["order.placed", '{"id":"o-1"}'],
      ["refund.asked", "r"],
    ],
  );
  assert.equal((await collect(bus.topic("audit").read())).length, 3);
});

test("the bus itself is the exchange with the empty name: bodies of any subject reach groups and queues", async (t) => {
  const bus = await testBus(t);
  const heard: string[] = [];
  bus.on(Placed, { group: "mail" }, ({ id }) => void heard.push(id));
  await bus.exchange("").bind(bus.queue("copy"), { pattern: "order.#" });
  const receipts = await bus.exchange("").publish("order.placed", '{"id":"o-1"}');
  assert.deepEqual(
    receipts.map(({ destination }) => destination),
    ["order", "copy"],
  );
  await bus.settled();
  assert.deepEqual(heard, ["o-1"]);
  await bus.exchange("").unbind(bus.queue("copy"), { pattern: "order.#" });
  assert.equal((await bus.exchange("").publish("order.placed", '{"id":"o-2"}')).length, 1);
  await failsWith("INVALID_OPTION", () => bus.exchange("", { kind: "topic" }), /always there/);
});

test("middleware runs around publishing to an exchange, and may change headers that it routes by", async (t) => {
  const bus = await testBus(t);
  const seen: unknown[] = [];
  bus.use({
    async publish(context, next) {
      context.messages[0]!.headers["region"] = "eu";
      const receipts = await next();
      seen.push([
        context.operation,
        context.kind,
        context.destination,
        context.messages[0]!.subject,
        receipts.length,
      ]);
    },
  });
  const regions = bus.exchange("regions", { kind: "headers" });
  await regions.bind(bus.queue("eu"), { headers: { match: "all", values } });
  assert.equal((await regions.publish("s", "a")).length, 1);
  assert.deepEqual(seen, [["publish", "exchange", "regions", "s", 1]]);
});

test("an exchange that was deleted is made again by its next verb, with nothing bound to it", async (t) => {
  const bus = await testBus(t);
  const all = bus.exchange("all", { kind: "fanout" });
  await all.bind(bus.queue("work"));
  assert.equal((await all.publish("s", "a")).length, 1);
  await bus.exchange("all").delete();
  await failsWith("EXCHANGE_NOT_FOUND", () => all.delete());
  assert.deepEqual(await all.publish("s", "b"), []);
  await all.bind(bus.queue("work"));
  await all.unbind(bus.queue("work"));
  assert.deepEqual(await all.publish("s", "c"), []);
});

test("wrong options, subjects, bodies and targets of an exchange are named", async (t) => {
  const bus = await testBus(t);
  const misspelt = { sort: "fanout" } as object;
  await failsWith("INVALID_OPTION", () => bus.exchange("x", misspelt), /no option sort of exchange x/);
  const kind = "random" as "fanout";
  await failsWith("INVALID_OPTION", () => bus.exchange("x", { kind }).declare(), /kind.*direct, fanout/);
  const all = bus.exchange("all", { kind: "fanout" });
  await failsWith("INVALID_SUBJECT", () => all.publish("a.*", "b"));
  await failsWith("INVALID_PAYLOAD", () => all.publish("a", { id: 1 } as unknown as string), /exchange all/);
  await failsWith(
    "INVALID_OPTION",
    () => all.bind("work" as unknown as ReturnType<typeof bus.queue>),
    /a queue, topic/,
  );
  const how = [{ routingKey: "a" }] as unknown as [];
  await failsWith(
    "INVALID_OPTION",
    () => all.bind(bus.queue("work"), ...how),
    /no option routingKey of a binding/,
  );
  const pattern = [{ pattern: "a" }] as unknown as [];
  await failsWith("INVALID_OPTION", () => all.bind(bus.queue("work"), ...pattern), /fanout exchange/);
  const asked = { from: "all", to: "x" } as { from: string };
  await failsWith(
    "INVALID_OPTION",
    () => bus.queue("q", { bind: [asked] }).declare(),
    /no option to of bind/,
  );
  const none = { bind: [{ from: "nobody" }] };
  await failsWith("EXCHANGE_NOT_FOUND", () => bus.queue("r", none).declare(), /nobody/);
  await failsWith(
    "INVALID_OPTION",
    () => bus.queue("s", { bind: "a" as unknown as [] }).declare(),
    /bind.*list/,
  );
  assert.equal(
    bus.statistics().queues.some(({ name }) => name === "s" || name === "q"),
    false,
  );
});

test("how messages are led can be asked for, and is there after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await bus.exchange("rest", { kind: "fanout" }).declare();
    const shares = bus.exchange("shares", { kind: "consistent-hash", alternate: "rest", bind: ["job.#"] });
    await shares.bind(bus.queue("one"), { weight: 2 });
    await shares.bind(bus.queue("two"));
    await shares.bind(bus.queue("two"), { weight: 5 });
    await bus.queue("in").forwardTo({ exchange: shares });
  });
  await withBus(directory, async (bus) => {
    const { exchanges, bindings, forwards } = bus.routing();
    assert.deepEqual(exchanges, [
      { name: "rest", kind: "fanout", alternate: undefined },
      { name: "shares", kind: "consistent-hash", alternate: "rest" },
    ]);
    assert.deepEqual(bindings, [
      { from: "", to: { kind: "exchange", name: "shares" }, pattern: "job.#" },
      { from: "shares", to: { kind: "queue", name: "one" }, weight: 2 },
      { from: "shares", to: { kind: "queue", name: "two" }, weight: 5 },
    ]);
    assert.deepEqual(forwards, [{ queue: "in", exchange: "shares", subject: undefined }]);
    await failsWith("EXCHANGE_MISMATCH", () => bus.exchange("shares", { kind: "topic" }).declare());
  });
});

test("a queue that is forwarded to an event reaches the handlers of its groups", async (t) => {
  const bus = await testBus(t);
  const heard: string[] = [];
  bus.on(Placed, { group: "mail" }, ({ id }) => void heard.push(id));
  const inbox = bus.queue("inbox");
  await inbox.send('{"id":"o-1"}');
  await inbox.forwardTo({ event: Placed });
  await inbox.send('{"id":"o-2"}');
  await bus.settled();
  assert.deepEqual(heard, ["o-1", "o-2"]);
  await inbox.stopForwarding();
  await inbox.send('{"id":"o-3"}');
  await bus.settled();
  assert.equal((await collect(inbox.browse())).length, 1);
});

test("what a forward leads nowhere is a dead letter, and goes on when it is replayed after something was bound", async (t) => {
  const bus = await testBus(t);
  const inbox = bus.queue("inbox");
  await inbox.forwardTo({ subject: "job.new" });
  await inbox.send("a");
  await bus.settled();
  const [letter] = await deadLettersOf(bus);
  assert.deepEqual([letter!.reason, letter!.message.text()], ["unroutable", "a"]);
  await bus.queue("jobs", { bind: ["job.#"] }).declare();
  assert.equal(await bus.deadLetters.replay({ reason: "unroutable" }), 1);
  await bus.settled();
  assert.deepEqual(
    (await collect(bus.queue("jobs").browse())).map((message) => [message.text(), message.subject]),
    [["a", "job.new"]],
  );
});

test("a forward takes an event, or a subject and an exchange, and is one", async (t) => {
  const bus = await testBus(t);
  const inbox = bus.queue("inbox");
  const both = { event: Placed, subject: "a" } as unknown as { event: typeof Placed };
  await failsWith("INVALID_OPTION", () => inbox.forwardTo(both), /an event, or a subject/);
  const command = { event: "order.placed" } as unknown as { event: typeof Placed };
  await failsWith("INVALID_OPTION", () => inbox.forwardTo(command), /forwardTo takes an event/);
  await failsWith(
    "INVALID_OPTION",
    () => inbox.forwardTo({ exchange: bus.queue("q") }),
    /an exchange or its name/,
  );
  await failsWith("EXCHANGE_NOT_FOUND", () => inbox.forwardTo({ exchange: "nobody" }));
  await inbox.forwardTo({ subject: "a" });
  await failsWith(
    "FORWARD_MISMATCH",
    () => inbox.forwardTo({ event: Placed }),
    /subject "a".*"order\.placed"/,
  );
});

test("an exchange waits for handlers that are being declared, so that their groups miss nothing", async () => {
  const bus = await openTestBus();
  const heard: string[] = [];
  bus.on(Placed, { group: "mail" }, ({ id }) => void heard.push(id));
  await bus.exchange("").publish("order.placed", '{"id":"o-1"}', { mustRoute: true });
  await bus.settled();
  assert.deepEqual(heard, ["o-1"]);
  await bus.close();
  await failsWith("CLOSED", () => bus.exchange("x"));
});

test("a transaction, and what a handler sends, may go over exchanges, and all of it or nothing is stored", async (t) => {
  const bus = await testBus(t);
  const orders = bus.exchange("orders", { kind: "direct" });
  await orders.bind(bus.queue("one"), { pattern: "a" });
  await orders.bind(bus.queue("two"), { pattern: "a" });
  await bus.transaction(async (tx) => {
    await tx.exchange("orders").publish("a", "both", { headers: { colour: "red" } });
    await tx.exchange("orders").publish("nowhere", "nobody");
  });
  for (const name of ["one", "two"]) {
    const [message] = await collect(bus.queue(name).browse());
    assert.deepEqual([message!.text(), message!.subject, message!.headers["colour"]], ["both", "a", "red"]);
  }
  const failing = (exchange: string, mustRoute: boolean) => () =>
    bus.transaction(async (tx) => {
      await tx.exchange("orders").publish("a", "never");
      await tx.exchange(exchange).publish("nowhere", "nobody", { mustRoute });
    });
  await failsWith("UNROUTABLE", failing("orders", true));
  await failsWith("EXCHANGE_NOT_FOUND", failing("nobody", false));
  await failsWith("INVALID_SUBJECT", () =>
    bus.transaction((tx) => tx.exchange("orders").publish("a.*", "b")),
  );
  assert.equal((await collect(bus.queue("one").browse())).length, 1);

  await orders.bind(bus.queue("three"), { pattern: "b" });
  bus.queue("two").consume(async (message, ctx) => {
    await ctx.exchange("orders").publish("b", message.text());
  });
  await bus.settled();
  assert.deepEqual(
    (await collect(bus.queue("three").browse())).map((message) => message.text()),
    ["both"],
  );
});

test("a bus that only looks finds exchanges, and declares, binds, publishes and forwards nothing", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await bus.exchange("all", { kind: "fanout" }).bind(bus.queue("work"));
  });
  const looking = await openBus(embedded({ directory, readOnly: true }));
  t.after(() => looking.close());
  await looking.exchange("all", { kind: "fanout" }).declare();
  const all = looking.exchange("all");
  await failsWith("READ_ONLY", () => all.publish("s", "a"));
  await failsWith("READ_ONLY", () => all.unbind(looking.queue("work")));
  await failsWith("READ_ONLY", () => all.delete());
  await failsWith("READ_ONLY", () => looking.exchange("new").declare());
  await failsWith("READ_ONLY", () => all.bind(looking.topic("new")));
  await failsWith("READ_ONLY", () => looking.queue("work").forwardTo({ exchange: "all" }));
  await failsWith("READ_ONLY", () => looking.queue("work").stopForwarding());
  assert.equal(looking.routing().bindings.length, 1);
});
