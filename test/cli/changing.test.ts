import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openBus } from "../../src/index.js";
import { cli, jsonLines, scratch } from "./run-cli.js";

/** A directory with two commands in a queue, three events in a topic, and a group that has handled all of them. */
async function filled(t: TestContext): Promise<string> {
  const data = join(await scratch(t), "data");
  const bus = await openBus(data);
  const order = bus.topic("order");
  const billing = order.group("billing");
  await billing.declare();
  await order.publishMany(["0", "1", "2"]);
  for (const delivery of await billing.receiveBatch({ max: 10 })) await delivery.ack();
  await bus.queue("stock").sendMany(["a", "b"]);
  await bus.close();
  return data;
}

/** Runs a command that has to succeed, and returns the objects that it prints. */
async function json(data: string, ...args: string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await cli([...args, "--json", "--data", data]);
  assert.deepEqual([code, stderr], [0, ""], args.join(" "));
  return jsonLines(stdout);
}

test("groups shows every group with its lag, as a table and as JSON", async (t) => {
  const data = await filled(t);
  const table = await cli(["groups", "--data", data]);
  assert.deepEqual([table.code, table.stderr], [0, ""]);
  assert.match(table.stdout, /^group +lag +in flight +delayed +dead +lost *\norder\/billing +0 +0 +0 +0 +0/);
  const [group] = await json(data, "groups", "order");
  assert.deepEqual([group!["topic"], group!["name"], group!["lag"]], ["order", "billing", 0]);
  assert.deepEqual(await json(data, "groups", "other"), []);
  assert.match(
    (await cli(["groups", "other", "--data", data])).stdout,
    /^There are no groups in topic other/,
  );
});

test("a queue and a group are paused and resumed, and show it", async (t) => {
  const data = await filled(t);
  assert.deepEqual(await json(data, "pause", "stock"), [{ paused: "stock", kind: "queue" }]);
  assert.deepEqual(await json(data, "pause", "order/billing"), [{ paused: "order/billing", kind: "group" }]);
  assert.match((await cli(["queues", "--data", data])).stdout, /stock \(paused\) +2/);
  assert.match((await cli(["topics", "--data", data])).stdout, /billing \(paused\) +/);
  assert.match((await cli(["groups", "--data", data])).stdout, /order\/billing .* paused/);
  assert.deepEqual(await json(data, "resume", "order/billing"), [
    { resumed: "order/billing", kind: "group" },
  ]);
  assert.equal((await cli(["resume", "stock", "--data", data])).stdout, "queue stock goes on\n");
  assert.equal((await json(data, "queues"))[0]!["isPaused"], false);
});

test("purge removes what waits", async (t) => {
  const data = await filled(t);
  assert.equal((await cli(["purge", "stock", "--data", data])).stdout, "purged 2 messages of stock\n");
  assert.deepEqual(await json(data, "purge", "stock"), [{ purged: 0 }]);
  assert.equal((await json(data, "queues"))[0]!["waiting"], 0);
});

test("replay moves a group to the beginning, the end, an offset and a time", async (t) => {
  const data = await filled(t);
  for (const [place, lag] of [
    ["beginning", 3],
    ["2", 1],
    ["1h", 3],
    ["2020-01-01", 3],
    ["2999-01-01", 0],
    ["end", 0],
  ] as const) {
    assert.deepEqual(await json(data, "replay", "order/billing", "--to", place), [
      { group: "order/billing", lag },
    ]);
  }
  assert.equal((await json(data, "groups"))[0]!["lag"], 0);
});

test("a place or a name that is not there ends with the right exit code and a hint", async (t) => {
  const data = await filled(t);
  for (const [args, code, words] of [
    [["replay", "order/billing"], 2, /--to/],
    [["replay", "order/billing", "--to", "yesterday"], 2, /no moment/],
    [["replay", "order/billing", "--to", "9"], 2, /behind its end/],
    [["replay", "order/billing", "--to", "end", "--partition", "1"], 2, /offset only/],
    [["replay", "stock", "--to", "end"], 2, /only groups can be moved/],
    [["replay", "order", "--to", "end"], 2, /say which of its groups/],
    [["replay", "order/mail", "--to", "end"], 66, /no group order\/mail/],
    [["pause", "nothing"], 66, /no queue or topic nothing/],
    [["delete", "nothing"], 66, /no queue or topic nothing/],
    [["delete", "stock", "--if-empty"], 1, /holds 2 messages/],
    [["delete", "stock", "--kind", "topic"], 66, /no topic stock/],
  ] as const) {
    const result = await cli([...args, "--data", data]);
    assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, words);
  }
});

test("delete takes a queue, a group and a topic away", async (t) => {
  const data = await filled(t);
  assert.deepEqual(await json(data, "delete", "stock"), [{ deleted: "stock", kind: "queue" }]);
  assert.deepEqual(await json(data, "queues"), []);
  assert.deepEqual(await json(data, "delete", "order/billing"), [
    { deleted: "order/billing", kind: "group" },
  ]);
  assert.deepEqual(await json(data, "groups"), []);
  assert.equal((await cli(["delete", "order", "--data", data])).stdout, "deleted topic order\n");
  assert.deepEqual(await json(data, "topics"), []);
});

test("a queue and a topic of one name are told apart by --kind", async (t) => {
  const data = await filled(t);
  const bus = await openBus(data);
  await bus.queue("order").declare();
  await bus.close();
  const unclear = await cli(["delete", "order", "--data", data]);
  assert.deepEqual([unclear.code, /--kind/.test(unclear.stderr)], [2, true]);
  assert.deepEqual(await json(data, "delete", "order", "--kind", "queue"), [
    { deleted: "order", kind: "queue" },
  ]);
  assert.equal((await json(data, "topics")).length, 1);
});

test("what changes something waits until no other process holds the directory", async (t) => {
  const data = await filled(t);
  await using bus = await openBus(data);
  await bus.queue("stock").declare();
  const refused = await cli(["pause", "stock", "--data", data]);
  assert.equal(refused.code, 75);
  assert.equal((await cli(["groups", "--data", data])).code, 0);
});

test("OMNIBUS_DATA that is empty is as good as none", async (t) => {
  const cwd = await scratch(t);
  const { code, stderr } = await cli(["queues"], { cwd, environment: { OMNIBUS_DATA: "" } });
  assert.equal(code, 66);
  assert.match(stderr, /no data directory \.\/omnibus-data/);
  const sent = await cli(["send", "jobs", "1"], { cwd, environment: { OMNIBUS_DATA: "" } });
  assert.equal(sent.code, 0, sent.stderr);
  const found = await cli(["queues", "--json"], { cwd });
  assert.equal(jsonLines(found.stdout).length, 1);
});
