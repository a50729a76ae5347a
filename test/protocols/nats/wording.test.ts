// What the server says, byte for byte, where clients and people read it: held to what nats-server 2.9 says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectLine, World } from "./world.js";

/** Each is said to a connection of its own after CONNECT; then a PING, when the connection is to live. */
const alive: readonly [what: string, sent: string, answer: string][] = [
  [
    "a message with its subscription's number",
    "SUB foo 9\r\nPUB foo 5\r\nhello\r\n",
    "MSG foo 9 5\r\nhello\r\n",
  ],
  ["a reply-to", "SUB foo 9\r\nPUB foo bar 2\r\nhi\r\n", "MSG foo 9 bar 2\r\nhi\r\n"],
  ["an empty body", "SUB foo 9\r\nPUB foo 0\r\n\r\n", "MSG foo 9 0\r\n\r\n"],
  ["blanks and small letters", "sub   foo \t q \t 9\r\npub  foo   1\r\na\r\n", "MSG foo 9 1\r\na\r\n"],
  ["lines without CR", "SUB foo 9\nPUB foo 1\na\r\n", "MSG foo 9 1\r\na\r\n"],
  ["a blank at the end", "SUB foo 9\r\nPUB foo 1 \r\na\r\n", "MSG foo 9 1\r\na\r\n"],
  [
    "headers",
    "SUB foo 9\r\nHPUB foo 18 19\r\nNATS/1.0\r\na: b\r\n\r\nx\r\n",
    "HMSG foo 9 18 19\r\nNATS/1.0\r\na: b\r\n\r\nx\r\n",
  ],
  [
    "headers and a reply-to",
    "SUB foo 9\r\nHPUB foo bar 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    "HMSG foo 9 bar 12 12\r\nNATS/1.0\r\n\r\n\r\n",
  ],
  ["no headers where none were announced", "SUB foo 9\r\nHPUB foo 0 1\r\na\r\n", "MSG foo 9 1\r\na\r\n"],
  ["a subject with an empty token", "SUB foo..bar 1\r\n", "-ERR 'Invalid Subject'\r\n"],
  ["a wildcard that is not the last token", "SUB foo.>.bar 1\r\n", "-ERR 'Invalid Subject'\r\n"],
  ["a control character", "SUB foo\x01bar 1\r\n", "-ERR 'Invalid Subject'\r\n"],
  ["bytes that are no text", "SUB foo 9\r\nPUB \xff\xfe 1\r\na\r\n", "-ERR 'Invalid Publish Subject'\r\n"],
  [
    "stars within a token",
    "SUB foo* 1\r\nSUB * 2\r\nPUB foo* 0\r\n\r\n",
    "MSG foo* 2 0\r\n\r\nMSG foo* 1 0\r\n\r\n",
  ],
  [
    "a number that is taken",
    "SUB foo 9\r\nSUB bar 9\r\nPUB bar 0\r\n\r\nPUB foo 0\r\n\r\n",
    "MSG foo 9 0\r\n\r\n",
  ],
  ["an unknown number", "UNSUB 9\r\nUNSUB 9 5\r\n", ""],
  [
    "the end after a number of messages",
    `SUB foo 9\r\nUNSUB 9 2\r\n${"PUB foo 0\r\n\r\n".repeat(3)}`,
    "MSG foo 9 0\r\n\r\n".repeat(2),
  ],
  [
    "an end that has passed",
    "SUB foo 9\r\nPUB foo 0\r\n\r\nUNSUB 9 1\r\nPUB foo 0\r\n\r\n",
    "MSG foo 9 0\r\n\r\n",
  ],
  ["what only servers say", "INFO {}\r\n+OK\r\nPONG\r\n", ""],
  [
    "that nobody answers",
    "SUB re.* 7\r\nPUB foo re.1 1\r\na\r\n",
    "HMSG re.1 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
  ],
  ["nothing where nobody waits for an answer", "PUB foo re.1 1\r\na\r\n", ""],
];

for (const [what, sent, answer] of alive) {
  test(`on ${what} it says what nats-server says`, async (t) => {
    const client = await (await World.open(t)).raw();
    assert.equal(await client.ask(connectLine({ headers: true, no_responders: true }), sent), answer);
  });
}

const deadly: readonly [what: string, sent: string, answer: string][] = [
  ["an unknown verb", "FOO\r\n", "Unknown Protocol Operation"],
  ["a verb of routes", "RS+ foo\r\n", "Unknown Protocol Operation"],
  ["a verb of servers", "MSG foo 1 1\r\na\r\n", "Unknown Protocol Operation"],
  ["an empty line", "\r\n", "Unknown Protocol Operation"],
  ["a verb that never ends", "SUBSUBSUB", "Unknown Protocol Operation"],
  ["a body of another length", "PUB foo 2\r\nabc\r\n", "Unknown Protocol Operation"],
  ["a subscription to nothing", "SUB\r\n", "Unknown Protocol Operation"],
  ["too much after a subscription", "SUB a b c d\r\n", "Parser Error"],
  ["a publish without a size", "PUB foo\r\n", "Parser Error"],
  ["a size that is none", "PUB foo -1\r\n", "Parser Error"],
  ["a size beyond all bounds", "PUB foo 99999999999999999999\r\n", "Parser Error"],
  ["headers longer than all", "HPUB foo 14 13\r\n", "Parser Error"],
  ["a message that is too large", "PUB foo 99999999\r\n", "Maximum Payload Violation"],
  ["a line that is too long", `PUB ${"a".repeat(5_000)} 1\r\n`, "maximum control line exceeded"],
  ["a line that never ends", `PUB ${"a".repeat(5_000)}`, "maximum control line exceeded"],
  ["a later protocol", connectLine({ protocol: 9 }), "invalid client protocol"],
  ["options that are none", "CONNECT {bad\r\n", "Parser Error"],
  ["an option of another type", 'CONNECT {"verbose":"yes"}\r\n', "Parser Error"],
  [
    "no-responders without headers",
    connectLine({ no_responders: true, headers: false }),
    "no responders requires headers support",
  ],
];

for (const [what, sent, answer] of deadly) {
  test(`on ${what} it says '${answer}' and hangs up`, async (t) => {
    const client = await (await World.open(t)).raw();
    client.send(connectLine({ headers: true }), sent);
    assert.equal(await client.rest(), `-ERR '${answer}'\r\n`);
  });
}

test("a client without headers may send none, and gets messages without them", async (t) => {
  const world = await World.open(t);
  const [plain, other] = [await world.raw(), await world.raw()];
  assert.equal(await plain.ask(connectLine(), "SUB foo 1\r\n"), "");
  assert.equal(
    await other.ask(connectLine({ headers: true }), "HPUB foo re 12 13\r\nNATS/1.0\r\n\r\na\r\n"),
    "",
  );
  assert.equal(await plain.ask(), "MSG foo 1 re 1\r\na\r\n");
  plain.send("HPUB foo 12 13\r\nNATS/1.0\r\n\r\na\r\n");
  assert.equal(await plain.rest(), "-ERR 'message headers not supported'\r\n");
});

test("everything is confirmed to a verbose client, and to one that has said nothing yet", async (t) => {
  const world = await World.open(t);
  const client = await world.raw();
  assert.equal(await client.ask("PUB foo 1\r\na\r\n"), "+OK\r\n");
  const session = "SUB foo 1\r\nPUB foo 1\r\na\r\nUNSUB 1\r\nUNSUB 9\r\n";
  assert.equal(
    await client.ask('CONNECT {"verbose":true}\r\n', session),
    "+OK\r\n+OK\r\n+OK\r\nMSG foo 1 1\r\na\r\n+OK\r\n+OK\r\n",
  );
  assert.equal(await client.ask(connectLine(), "SUB foo 1\r\n"), "");
});

test("a pedantic client is told of subjects that nobody should publish to, which go on all the same", async (t) => {
  const client = await (await World.open(t)).raw();
  const session = "SUB foo.> 1\r\nPUB foo.* 0\r\n\r\nPUB foo..bar 0\r\n\r\n";
  assert.equal(
    await client.ask(connectLine({ pedantic: true }), session),
    "-ERR 'Invalid Publish Subject'\r\nMSG foo.* 1 0\r\n\r\n" +
      "-ERR 'Invalid Publish Subject'\r\nMSG foo..bar 1 0\r\n\r\n",
  );
});

test("too many subscriptions are refused, and the others stay", async (t) => {
  const world = await World.open(t, { limits: { subscriptionsMax: 2 } });
  const client = await world.raw();
  assert.equal(
    await client.ask(connectLine(), "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPUB b 0\r\n\r\nPUB c 0\r\n\r\n"),
    "-ERR 'maximum subscriptions exceeded'\r\nMSG b 2 0\r\n\r\n",
  );
});

test("a client that says that it met an error is let go", async (t) => {
  const client = await (await World.open(t)).raw();
  client.send(connectLine(), "-ERR 'x'\r\n");
  assert.equal(await client.rest(), "");
});
