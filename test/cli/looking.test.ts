import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { command, event, openBus } from "../../src/index.js";
import { cli, finish, jsonLines, scratch, startCli } from "./run-cli.js";

const OrderPlaced = event<{ id: string }>("order.placed", { key: (order) => order.id });
const Reserve = command<{ id: string }>("stock.reserve", { key: (order) => order.id });

/** A directory with three events of which billing handled one, two commands, and one dead letter. */
async function filled(t: TestContext): Promise<string> {
  const data = join(await scratch(t), "data");
  const bus = await openBus(data, { onError: () => {} });
  let handled = 0;
  const billing = bus.on(OrderPlaced, { group: "billing", retry: { attempts: 1 } }, ({ id }) => {
    handled += 1;
    if (id === "o-2") throw new TypeError("Cannot read properties of undefined (reading 'shelf')");
  });
  await billing.ready;
  await bus.publishMany(OrderPlaced, [{ id: "o-1" }, { id: "o-2" }]);
  while (handled < 2 || bus.statistics().topics[0]!.groups[0]!.deadLetters < 1)
    await new Promise((next) => setTimeout(next, 5));
  await billing.close();
  await bus.publish(OrderPlaced, { id: "o-3" });
  await bus.sendMany(Reserve, [{ id: "o-1" }, { id: "o-2" }]);
  await bus.close();
  return data;
}

test("queues and topics show what waits and who is behind, as tables", async (t) => {
  const data = await filled(t);
  const queues = await cli(["queues", "--data", data]);
  assert.deepEqual([queues.code, queues.stderr], [0, ""]);
  assert.match(
    queues.stdout,
    /^queue +waiting +in flight +delayed +dead +size +oldest\nstock\.reserve +2 +0 +0 +0 +\d+ B +\d/,
  );
  const topics = await cli(["topics", "--data", data]);
  assert.match(topics.stdout, /\norder +3 .*\n +billing +1 +0 +0 +1\n/);
});

test("queues and topics print one JSON object a line", async (t) => {
  const data = await filled(t);
  const [queue] = jsonLines<{ name: string; waiting: number }>(
    (await cli(["queues", "--json", "--data", data])).stdout,
  );
  assert.deepEqual([queue!.name, queue!.waiting], ["stock.reserve", 2]);
  const topics = jsonLines<{ name: string; groups: { name: string; lag: number; deadLetters: number }[] }>(
    (await cli(["topics", "--json", "--data", data])).stdout,
  );
  const [group] = topics[0]!.groups;
  assert.deepEqual(
    [topics.length, topics[0]!.name, group!.name, group!.lag, group!.deadLetters],
    [1, "order", "billing", 1, 1],
  );
});

test("tail shows the last messages of a topic, a queue and a pattern", async (t) => {
  const data = await filled(t);
  const ids = async (...args: string[]): Promise<string[]> => {
    const { stdout, code, stderr } = await cli(["tail", ...args, "--json", "--data", data]);
    assert.equal(code, 0, stderr);
    return jsonLines<{ body: { id: string } }>(stdout).map(({ body }) => body.id);
  };
  assert.deepEqual(await ids("order"), ["o-1", "o-2", "o-3"]);
  assert.deepEqual(await ids("order", "--last", "2"), ["o-2", "o-3"]);
  assert.deepEqual(await ids("order", "--from", "1"), ["o-2", "o-3"]);
  assert.deepEqual(await ids("order", "--from", "1h", "-n", "1"), ["o-1"]);
  assert.deepEqual(await ids("stock.reserve"), ["o-1", "o-2"]);
  assert.deepEqual(await ids("order.*"), ["o-1", "o-2", "o-3"]);
  assert.deepEqual(await ids("order.cancelled"), []);
  const line = (await cli(["tail", "order", "--last", "1", "--data", data])).stdout;
  assert.match(line, /^order@2 \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} order\.placed o-3 \{"id":"o-3"\}\n$/);
});

test("tail shows of a queue's messages how often they were tried, and what went wrong", async (t) => {
  const data = await filled(t);
  await using bus = await openBus(data);
  const [delivery] = await bus.queue("stock.reserve").receiveBatch({ max: 1 });
  await delivery!.nack({ delay: "1h", error: new Error("no shelf") });
  await bus.engine.broker.flush();
  const { stdout } = await cli(["tail", "stock.reserve", "--json", "--data", data]);
  assert.deepEqual(
    jsonLines<Record<string, unknown>>(stdout).map(({ contentType, attempts, error }) => [
      contentType,
      attempts,
      error,
    ]),
    [
      ["application/json", 1, "Error: no shelf"],
      ["application/json", 0, undefined],
    ],
  );
});

test("tail --follow shows what comes, beside the process that writes, until it is interrupted", async (t) => {
  const data = await filled(t);
  await using bus = await openBus(data);
  const child = startCli(["tail", "order.#", "--last", "1", "--follow", "--json", "--data", data]);
  const end = finish(child);
  const seen = (count: number): Promise<void> =>
    new Promise((resolve) => {
      let text = "";
      child.stdout.on("data", (chunk: string) => {
        text += chunk;
        if (text.split("\n").length > count) resolve();
      });
    });
  await seen(1);
  await Promise.all([seen(2), bus.publishMany(OrderPlaced, [{ id: "o-4" }, { id: "o-5" }])]);
  child.kill("SIGINT");
  const { code, stdout, stderr } = await end;
  assert.deepEqual([code, stderr], [130, ""]);
  assert.deepEqual(
    jsonLines<{ body: { id: string } }>(stdout).map(({ body }) => body.id),
    ["o-3", "o-4", "o-5"],
  );
});

test("commands that look work beside the process that holds the directory, those that write name it", async (t) => {
  const data = await filled(t);
  await using _holder = await openBus(data);
  for (const args of [["queues"], ["topics"], ["tail", "order"], ["dead", "list"]]) {
    const { code, stdout, stderr } = await cli([...args, "--data", data]);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    assert.notEqual(stdout, "");
  }
  for (const args of [
    ["send", "q", "x"],
    ["publish", "a.b", "x"],
    ["dead", "replay", "--all"],
    ["dead", "discard", "--all"],
    ["demo", "--orders", "5"],
  ]) {
    const { code, stdout, stderr } = await cli([...args, "--data", data]);
    assert.equal(code, 75, `${args.join(" ")}: ${stderr}`);
    if (args[0] !== "demo") assert.equal(stdout, "");
    assert.match(stderr, new RegExp(`^error: .*\\b${process.pid}\\b.*\nhint: .+\n$`));
  }
});

test("what is not there is exit code 66, and looking does not create it", async (t) => {
  const folder = await scratch(t);
  const absent = join(folder, "absent");
  for (const args of [["queues"], ["topics"], ["tail", "x"], ["dead", "list"], ["dead", "replay", "--all"]]) {
    const { code, stdout, stderr } = await cli([...args, "--data", absent]);
    assert.deepEqual([code, stdout], [66, ""], args.join(" "));
    assert.match(stderr, /^error: there is no data directory .*absent\nhint: .+\n$/);
  }
  assert.equal(existsSync(absent), false);
  const data = await filled(t);
  for (const args of [
    ["tail", "nothing"],
    ["tail", "nothing.at.all"],
    ["dead", "show", "x"],
    ["dead", "replay", "x"],
  ]) {
    const { code, stderr } = await cli([...args, "--data", data]);
    assert.equal(code, 66, `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, /^error: .+\nhint: .+\n$/);
  }
});

test("the data directory comes from OMNIBUS_DATA, and --data wins over it", async (t) => {
  const data = await filled(t);
  const environment = { OMNIBUS_DATA: data };
  assert.equal((await cli(["queues"], { environment })).code, 0);
  assert.equal((await cli(["queues", "--data", join(data, "absent")], { environment })).code, 66);
  assert.equal((await cli(["--data", data, "queues"])).code, 0);
});

test("a reader that leaves early ends the command quietly", async (t) => {
  const data = join(await scratch(t), "data");
  const input = Array.from({ length: 20_000 }, (_, n) => `{"n":${n},"filler":"${"x".repeat(100)}"}\n`).join(
    "",
  );
  await cli(["publish", "a.b", "--data", data], { input });
  const child = startCli(["tail", "a", "--from", "beginning", "--data", data]);
  child.stdout.once("data", () => child.stdout.destroy());
  const { code, stderr } = await finish(child);
  assert.deepEqual([code, stderr], [0, ""]);
});

test("dead list, show, replay and discard", async (t) => {
  const data = await filled(t);
  const listed = await cli(["dead", "list", "--json", "--data", data]);
  const [letter, ...others] = jsonLines<Record<string, unknown>>(listed.stdout);
  assert.equal(others.length, 0);
  assert.deepEqual(
    { ...letter, timestamp: 0, firstFailedAt: 0, deadAt: 0, history: 0, id: 0, offset: 0, partition: 0 },
    {
      source: "order/billing",
      partition: 0,
      offset: 0,
      id: 0,
      subject: "order.placed",
      key: "o-2",
      timestamp: 0,
      priority: 0,
      contentType: "application/json",
      headers: {},
      body: { id: "o-2" },
      reason: "attempts-exhausted",
      error: "TypeError: Cannot read properties of undefined (reading 'shelf')",
      attempts: 1,
      firstFailedAt: 0,
      deadAt: 0,
      history: 0,
    },
  );
  const id = String(letter!["id"]);
  const table = await cli(["dead", "list", "--data", data]);
  assert.match(
    table.stdout,
    /^id +source +subject +reason +attempts +died +error\n.*order\/billing.*attempts-exhausted/,
  );
  const shown = await cli(["dead", "show", id, "--data", data]);
  assert.match(shown.stdout, /Dead letter .*\n(.*\n)*body +\{"id":"o-2"\}\n/);
  for (const filter of [
    ["--source", "other"],
    ["--subject", "invoice.#"],
    ["--error", "nowhere"],
    ["--before", "1h"],
    ["--reason", "expired"],
  ]) {
    const { stdout, code } = await cli(["dead", "list", ...filter, "--data", data]);
    assert.deepEqual([code, stdout], [0, "No dead letter matches.\n"], filter.join(" "));
  }
  for (const filter of [
    ["--source", "order/billing"],
    ["--subject", "order.*"],
    ["--error", "shelf"],
    ["--after", "1h"],
    ["--id", id],
  ]) {
    const { stdout } = await cli(["dead", "list", ...filter, "--json", "--data", data]);
    assert.equal(jsonLines(stdout).length, 1, filter.join(" "));
  }
  const careless = await cli(["dead", "replay", "--data", data]);
  assert.equal(careless.code, 2);
  assert.match(careless.stderr, /^error: say which dead letters to replay\nhint: /);
  const replayed = await cli(["dead", "replay", "--error", "shelf", "--json", "--data", data]);
  assert.deepEqual([replayed.code, replayed.stdout], [0, '{"replayed":1}\n']);
  assert.equal((await cli(["dead", "list", "--data", data])).stdout, "There are no dead letters.\n");
  const [topic] = jsonLines<{ groups: { lag: number }[] }>(
    (await cli(["topics", "--json", "--data", data])).stdout,
  );
  assert.equal(topic!.groups[0]!.lag, 2);
});

test("dead discard deletes for good", async (t) => {
  const data = await filled(t);
  const discarded = await cli(["dead", "discard", "--all", "--data", data]);
  assert.deepEqual([discarded.code, discarded.stdout], [0, "discarded 1 dead letter\n"]);
  assert.equal((await cli(["dead", "list", "--json", "--data", data])).stdout, "");
});

test("bindings show where messages are led, as a table and as JSON", async (t) => {
  const data = await filled(t);
  const bus = await openBus(data);
  await bus.exchange("rest", { kind: "fanout" }).declare();
  const regions = bus.exchange("regions", { kind: "headers", alternate: "rest", bind: ["order.#"] });
  const values = { region: "eu", tier: "gold" };
  await regions.bind(bus.queue("eu"), { headers: { match: "any", values } });
  await bus.exchange("shares", { kind: "consistent-hash" }).bind(bus.queue("eu"), { weight: 2 });
  await bus.queue("inbox").forwardTo({ exchange: "shares", subject: "job" });
  await bus.close();

  const { code, stdout, stderr } = await cli(["bindings", "--data", data]);
  assert.deepEqual([code, stderr], [0, ""]);
  const rows = stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/ {2,}/));
  assert.deepEqual(rows, [
    ["from", "kind", "when", "to"],
    ["(the bus)", "topic", "order.placed", "topic order"],
    ["(the bus)", "topic", "order.#", "exchange regions"],
    ["rest", "fanout", "nowhere"],
    ["regions", "headers", "region=eu or tier=gold", "queue eu"],
    ["regions", "headers", "nothing else", "exchange rest"],
    ["shares", "consistent-hash", "weight 2", "queue eu"],
    ["inbox", "forward", "always", "exchange shares as job"],
  ]);
  const lines = jsonLines<{ type: string; name?: string; from?: string; weight?: number; queue?: string }>(
    (await cli(["bindings", "--json", "--data", data])).stdout,
  );
  assert.deepEqual(
    lines.map(({ type, name, from, weight, queue }) => [type, name ?? from ?? queue, weight]),
    [
      ["exchange", "rest", undefined],
      ["exchange", "regions", undefined],
      ["exchange", "shares", undefined],
      ["binding", "", undefined],
      ["binding", "", undefined],
      ["binding", "regions", undefined],
      ["binding", "shares", 2],
      ["forward", "inbox", undefined],
    ],
  );
});
