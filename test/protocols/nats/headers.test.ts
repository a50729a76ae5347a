// Headers of NATS and of records.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeHeaders, type Header } from "../../../src/log/record-headers.js";
import { blockOf, recordHead } from "../../../src/protocols/nats/headers.js";
import { formatHeaderBlock, parseHeaderBlock } from "../../../src/protocols/nats/wire/header-block.js";

/** What the broker keeps of a message with this header block, without its subject. */
function kept(block: string): [string, string | undefined][] {
  const { encoded } = recordHead({
    subject: "s",
    replyTo: undefined,
    block: Buffer.from(block),
    origin: undefined,
  });
  return decodeHeaders(encoded)
    .filter(([name]) => name !== "omnibus-subject")
    .map(([name, value]) => [name, value?.toString()]);
}

test("names that mean the same are translated, others stay as they are written", () => {
  const block =
    "NATS/1.0\r\nContent-Type: text/plain\r\nNats-Msg-Id: 7\r\nCorrelation-Id: c\r\nX-a: 1\r\nX-a: 2\r\n\r\n";
  assert.deepEqual(kept(block), [
    ["content-type", "text/plain"],
    ["omnibus-id", "7"],
    ["omnibus-correlation-id", "c"],
    ["X-a", "1"],
    ["X-a", "2"],
  ]);
});

test("nobody can say what only the broker says", () => {
  const block = "NATS/1.0\r\nomnibus-subject: forged\r\nOmnibus-Reply-To: me\r\na: b\r\n\r\n";
  assert.deepEqual(kept(block), [
    ["a", "b"],
    ["omnibus-nats", block],
  ]);
});

test("a block is kept as it was when it could not be built again", () => {
  for (const block of [
    "NATS/1.0 503\r\n\r\n",
    "NATS/1.0\r\na:b\r\n\r\n",
    "NATS/1.0\r\ncontent-type: x\r\n\r\n",
    "NATS/1.0\r\na\r\n\r\n",
    "no block at all",
  ])
    assert.deepEqual(kept(block).at(-1), ["omnibus-nats", block]);
  assert.equal(kept("NATS/1.0\r\na: b\r\n\r\n").length, 1);
});

test("what comes out is what went in, whatever it was", () => {
  const line = fc.constantFrom(
    "a: b",
    "a:b",
    "Content-Type: x",
    "content-type: x",
    "Nats-Msg-Id: 1",
    "omnibus-id: 2",
    ": empty",
    "no colon",
    "é: ü",
    "a:  b ",
    "",
  );
  fc.assert(
    fc.property(
      fc.constantFrom("NATS/1.0", "NATS/1.0 100 x", "HTTP/1.1"),
      fc.array(line, { maxLength: 6 }),
      (first, lines) => {
        const block = Buffer.from([first, ...lines, "", ""].join("\r\n"));
        const { encoded } = recordHead({ subject: "s", replyTo: "r", block, origin: "o" });
        const out = blockOf(decodeHeaders(encoded));
        if (out === undefined) assert.equal(block.toString(), "NATS/1.0\r\n\r\n");
        else assert.equal(out.toString(), block.toString());
      },
    ),
    { numRuns: 1_000 },
  );
});

test("headers of other origin cannot begin another line", () => {
  const headers: Header[] = [
    ["a b:c\r\nd", Buffer.from("x\r\nInjected: y")],
    ["ü", Buffer.from("1")],
  ];
  const block = blockOf(headers)!;
  assert.equal(block.toString(), "NATS/1.0\r\na%20b%3Ac%0D%0Ad: x  Injected: y\r\n%C3%BC: 1\r\n\r\n");
  assert.equal(parseHeaderBlock(block)?.headers.length, 2);
});

test("a block with a carriage return in a name is none, and goes on as it came", () => {
  const block = "NATS/1.0\r\na\rb: 1\r\n\r\n";
  assert.equal(parseHeaderBlock(Buffer.from(block)), undefined);
  assert.deepEqual(kept(block), [["omnibus-nats", block]]);
});

test("header blocks are read back as they were written", () => {
  const name = fc.stringMatching(/^[!-9;-~]{1,10}$/);
  const value = fc.stringMatching(/^([!-~]([ -~]{0,8}[!-~])?)?$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 5 }), (headers) => {
      const wire = headers.map(([key, text]) => [key, Buffer.from(text)] as const);
      const parsed = parseHeaderBlock(formatHeaderBlock(wire));
      assert.deepEqual(
        parsed?.headers.map(([key, bytes]) => [key, bytes.toString()]),
        headers,
      );
      assert.equal(parsed?.status, "");
    }),
  );
});
