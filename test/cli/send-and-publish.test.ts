import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openBus } from "../../src/index.js";
import { cli, finish, jsonLines, scratch, startCli } from "./run-cli.js";

interface Shown {
  readonly body: unknown;
  readonly key: string | null;
  readonly subject: string;
  readonly headers: Record<string, string>;
  readonly offset: number;
  readonly id: string;
}

async function tail(data: string, name: string): Promise<Shown[]> {
  const { stdout, code, stderr } = await cli(["tail", name, "--from", "beginning", "--json", "--data", data]);
  assert.equal(code, 0, stderr);
  return jsonLines<Shown>(stdout);
}

test("send puts one message into a queue, with key, header and id", async (t) => {
  const data = join(await scratch(t), "data");
  const options = ["--key", "k1", "--header", "a=b", "--header", "c=d=e", "--id", "m-1", "--data", data];
  const sent = await cli(["send", "jobs", '{"n":1}', ...options]);
  assert.deepEqual([sent.code, sent.stderr], [0, ""]);
  assert.match(sent.stdout, /^sent 1 message to jobs, offset 0 of jobs\n$/);
  const [message] = await tail(data, "jobs");
  const { body, key, headers, id } = message!;
  assert.deepEqual(
    { body, key, headers, id },
    { body: { n: 1 }, key: "k1", headers: { a: "b", c: "d=e" }, id: "m-1" },
  );
});

test("send --json prints one object and nothing else", async (t) => {
  const data = join(await scratch(t), "data");
  const { code, stdout, stderr } = await cli(["send", "jobs", "x", "--json", "--data", data]);
  assert.deepEqual([code, stderr], [0, ""]);
  const [object, ...more] = jsonLines<{ sent: number; first: { offset: number; timestamp: string } }>(stdout);
  assert.deepEqual(more, []);
  assert.equal(object!.sent, 1);
  assert.equal(object!.first.offset, 0);
  assert.match(object!.first.timestamp, /^\d{4}-\d\d-\d\dT/);
});

test("JSON Lines from standard input become events under the subject, in order, keyed by a field", async (t) => {
  const data = join(await scratch(t), "data");
  const input = Array.from({ length: 5_000 }, (_, n) => `{"order":{"id":"o-${n % 7}"}, "n":${n}}\n`).join("");
  const options = ["--key-field", "order.id", "--json", "--data", data];
  const { code, stdout, stderr } = await cli(["publish", "order.placed", ...options], { input });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(jsonLines<{ published: number }>(stdout)[0]!.published, 5_000);
  const messages = await tail(data, "order");
  assert.deepEqual(
    messages.map(({ body }) => (body as { n: number }).n),
    Array.from({ length: 5_000 }, (_, n) => n),
  );
  assert.deepEqual([messages[8]!.subject, messages[8]!.key, messages[8]!.offset], ["order.placed", "o-1", 8]);
});

test("the bytes of a line are stored as they are: spaces, large numbers and the order of fields included", async (t) => {
  const data = join(await scratch(t), "data");
  const line = '{ "z": 12345678901234567890,  "a": "ü" }';
  await cli(["publish", "raw.bytes", "--data", data], { input: `${line}\r\n\n` });
  const { stdout } = await cli(["tail", "raw", "--raw", "--data", data]);
  assert.equal(stdout, `${line}\n`);
  const json = await cli(["tail", "raw", "--json", "--data", data]);
  assert.match(json.stdout, /"body":\{ "z": 12345678901234567890, {2}"a": "ü" \}\}\n$/);
});

test("a bad line stops the input, is named by its number, and what came before it is stored", async (t) => {
  const data = join(await scratch(t), "data");
  const { code, stdout, stderr } = await cli(["publish", "a.b", "--data", data], {
    input: '{"n":1}\n\n{"n":2}\n{"n":\n{"n":3}\n',
  });
  assert.deepEqual([code, stdout], [65, ""]);
  assert.match(
    stderr,
    /^error: line 4 is no JSON: .*\nhint: 2 messages before it are stored; .*--skip-invalid\n$/,
  );
  assert.deepEqual(
    (await tail(data, "a")).map(({ body }) => body),
    [{ n: 1 }, { n: 2 }],
  );
});

test("a slow input is stored as it comes, and an interruption keeps what came", async (t) => {
  const data = join(await scratch(t), "data");
  const child = startCli(["publish", "a.b", "--data", data], {
    input: '{"n":1}\n{"n":2}\n{"n":',
    keepsOpen: true,
  });
  const end = finish(child);
  while (!existsSync(join(data, "format.json"))) await new Promise((next) => setTimeout(next, 20));
  const stored = async (): Promise<number> => {
    const { stdout } = await cli(["topics", "--json", "--data", data]);
    return (
      jsonLines<{ partitions: { highWatermark: number }[] }>(stdout)[0]?.partitions[0]?.highWatermark ?? 0
    );
  };
  while ((await stored()) < 2) await new Promise((next) => setTimeout(next, 20));
  child.kill("SIGINT");
  const { code, stdout, stderr } = await end;
  assert.deepEqual([code, stderr], [130, ""]);
  assert.match(stdout, /^published 2 messages to a\.b in /);
});

test("--skip-invalid counts bad lines and goes on", async (t) => {
  const data = join(await scratch(t), "data");
  const input = Buffer.concat([
    Buffer.from('{"n":1}\nnonsense\n'),
    Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    Buffer.from('{"n":2}\n'),
  ]);
  const { code, stdout } = await cli(["send", "q", "--skip-invalid", "--json", "--data", data], { input });
  assert.equal(code, 0);
  const [{ sent, skipped }] = jsonLines<{ sent: number; skipped: number }>(stdout) as [
    { sent: number; skipped: number },
  ];
  assert.deepEqual([sent, skipped], [2, 2]);
});

test("a line without its key field is a bad line", async (t) => {
  const data = join(await scratch(t), "data");
  const { code, stderr } = await cli(["send", "q", "--key-field", "id", "--data", data], {
    input: '{"id":1}\n{"no":1}\n',
  });
  assert.equal(code, 65);
  assert.match(stderr, /line 2 has no key in its field 'id'/);
});

test("a message that the queue refuses for its size names its line and stores no other twice", async (t) => {
  const data = join(await scratch(t), "data");
  const bus = await openBus(data);
  await bus.queue("small", { messageBytesMax: 100 }).declare();
  await bus.close();
  const input = `{"n":1}\n{"n":2}\n"${"x".repeat(200)}"\n{"n":4}\n`;
  const { code, stderr } = await cli(["send", "small", "--data", data], { input });
  assert.equal(code, 65, stderr);
  assert.match(stderr, /line 3\b/);
  assert.deepEqual(
    (await tail(data, "small")).map(({ body }) => body),
    [{ n: 1 }, { n: 2 }],
  );
  const skipped = await cli(["send", "small", "--skip-invalid", "--data", data], { input });
  assert.equal(skipped.code, 0, skipped.stderr);
  assert.equal((await tail(data, "small")).length, 5);
});

test("--file sends a whole file as one message, whatever its bytes", async (t) => {
  const folder = await scratch(t);
  const data = join(folder, "data");
  await writeFile(join(folder, "picture"), Buffer.from([0xff, 0x00, 0x0a, 0x80]));
  const sent = await cli(["send", "pictures", "--file", join(folder, "picture"), "--data", data]);
  assert.equal(sent.code, 0, sent.stderr);
  const { stdout } = await cli(["tail", "pictures", "--json", "--data", data]);
  assert.equal(
    jsonLines<{ bodyBase64: string }>(stdout)[0]!.bodyBase64,
    Buffer.from([0xff, 0x00, 0x0a, 0x80]).toString("base64"),
  );
});

test("--jsonl reads a file of JSON Lines", async (t) => {
  const folder = await scratch(t);
  const data = join(folder, "data");
  const file = join(folder, "events.jsonl");
  await writeFile(file, Array.from({ length: 30_000 }, (_, n) => JSON.stringify({ n })).join("\n"));
  const { code, stdout } = await cli(["publish", "n.counted", "--jsonl", file, "--json", "--data", data]);
  assert.equal(code, 0);
  const [result] = jsonLines<{ published: number; last: { offset: number } }>(stdout);
  assert.deepEqual([result!.published, result!.last.offset], [30_000, 29_999]);
});

test("--delay holds a message back", async (t) => {
  const data = join(await scratch(t), "data");
  await cli(["send", "later", "hidden", "--delay", "1h", "--data", data]);
  await cli(["send", "later", "seen", "--delay", "1ms", "--data", data]);
  const bus = await openBus(data);
  try {
    const received = await bus.queue("later").receiveBatch({ max: 10 });
    assert.deepEqual(
      received.map(({ message }) => message.text()),
      ["seen"],
    );
  } finally {
    await bus.close();
  }
});

test("--priority chooses the level of a message", async (t) => {
  const data = join(await scratch(t), "data");
  const first = await openBus(data);
  await first.queue("urgent", { priorities: 3 }).declare();
  await first.close();
  await cli(["send", "urgent", "low", "--data", data]);
  await cli(["send", "urgent", "high", "--priority", "2", "--data", data]);
  const bus = await openBus(data);
  try {
    const texts: string[] = [];
    for await (const message of bus.queue("urgent").browse()) texts.push(message.text());
    assert.deepEqual(texts, ["high", "low"]);
  } finally {
    await bus.close();
  }
});

test("a wrong command line is exit code 2 and leaves nothing behind", async (t) => {
  const folder = await scratch(t);
  const data = join(folder, "data");
  const wrong: [string[], RegExp][] = [
    [["send", "q", "x", "--delay", "soon"], /--delay 'soon' is no duration/],
    [["send", "q", "x", "--priority", "high"], /--priority 'high' is no whole number/],
    [["send", "q", "x", "--header", "nameless"], /--header 'nameless' has no name/],
    [["send", "q", "x", "--key", "a", "--key-field", "b"], /cannot be used with/],
    [["send", "q", "--id", "x"], /--id names one message/],
    [["send", "q", "x", "--file", "y"], /only one of them/],
    [["send"], /missing required argument 'queue'/],
    [["send", "bad name", "x"], /name/],
    [["publish", "order.*", "x"], /wildcard/],
    [["publish", "a..b", "x"], /empty level/],
    [["nonsense"], /unknown command/],
    [["send", "q", "x", "--nonsense"], /unknown option/],
  ];
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await cli([...args, "--data", data]);
    assert.deepEqual([code, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, message);
    assert.match(stderr, /^error: .*\nhint: /, args.join(" "));
  }
  assert.equal(existsSync(data), false);
});

test("a file that is not there is exit code 66", async (t) => {
  const folder = await scratch(t);
  for (const option of ["--file", "--jsonl"]) {
    const { code, stderr } = await cli([
      "send",
      "q",
      option,
      join(folder, "absent"),
      "--data",
      join(folder, "data"),
    ]);
    assert.equal(code, 66);
    assert.match(stderr, /^error: there is no file .*absent\n/);
  }
});

test("a full disk is exit code 73, and says how many messages are stored", async (t) => {
  const data = join(await scratch(t), "data");
  const input = Array.from({ length: 20_000 }, (_, n) => `{"n":${n},"filler":"${"x".repeat(100)}"}\n`).join(
    "",
  );
  // A limit on the size of a file fails a write as a full disk does.
  const limited = await cli(["publish", "a.b", "--data", data], { input, fileBlocksMax: 1_000 });
  assert.equal(limited.code, 73, limited.stderr);
  assert.match(limited.stderr, /^error: No room .*\nhint: [\d,]+ messages? (is|are) stored; make room/);
  const stored = Number(/hint: ([\d,]+) /.exec(limited.stderr)![1]!.replaceAll(",", ""));
  assert.equal((await tail(data, "a")).length, stored);
  const { code } = await cli(["publish", "a.b", '{"n":-1}', "--data", data]);
  assert.equal(code, 0, "there is room again");
  assert.deepEqual((await tail(data, "a")).at(-1)!.body, { n: -1 });
});

test("a data directory that cannot be made is exit code 73", async (t) => {
  const folder = await scratch(t);
  await writeFile(join(folder, "file"), "");
  const { code, stderr } = await cli(["send", "q", "x", "--data", join(folder, "file", "data")]);
  assert.equal(code, 73);
  assert.match(stderr, /^error: .*cannot be opened.*\nhint: .+\n$/);
});
