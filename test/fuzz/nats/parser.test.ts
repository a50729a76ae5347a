// The parser of NATS, fed with real and spoilt sessions in pieces of every size.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseHeaderBlock } from "../../../src/protocols/nats/wire/header-block.js";
import { type ClientOperations, ClientParser } from "../../../src/protocols/nats/wire/parser.js";
import { sessions, spoilt } from "./sessions.js";

const BODY_BYTES_MAX = 1_000;

/** What a parser made of what it was fed. */
class Recorder implements ClientOperations {
  readonly said: string[] = [];
  isRefused = false;

  connect(json: string): void {
    this.said.push(`connect ${json}`);
  }

  publish(
    bytes: Buffer,
    subjectStart: number,
    _hash: number,
    _isSameSubject: boolean,
    tailStart: number,
    replyEnd: number,
    headStart: number,
    bodyStart: number,
    bodyEnd: number,
  ): void {
    const text = (from: number, to: number): string => JSON.stringify(bytes.toString("latin1", from, to));
    this.said.push(
      [
        "publish",
        text(subjectStart, tailStart - 1),
        text(tailStart, replyEnd),
        text(headStart, bodyStart),
        text(bodyStart, bodyEnd),
        text(tailStart, bodyEnd + 2),
      ].join(" "),
    );
  }

  subscribe(subject: Buffer, queue: Buffer | undefined, sid: Buffer): void {
    this.said.push(
      `subscribe ${subject.toString("latin1")} ${queue?.toString("latin1")} ${sid.toString("latin1")}`,
    );
  }

  unsubscribe(sid: Buffer, max: number): void {
    this.said.push(`unsubscribe ${sid.toString("latin1")} ${max}`);
  }

  ping(): void {
    this.said.push("ping");
  }

  leave(): void {
    this.said.push("leave");
  }

  refuse(): void {
    this.isRefused = true;
  }

  refuseLocked(): void {
    this.isRefused = true;
  }
}

/** Feeds the pieces that begin at each of `cuts`, each in a buffer of its own. */
function parsed(session: string, cuts: readonly number[]): Recorder {
  const recorder = new Recorder();
  const parser = new ClientParser(recorder, BODY_BYTES_MAX);
  const places = [0, ...[...cuts].sort((a, b) => a - b), session.length];
  for (const [index, start] of places.slice(0, -1).entries())
    parser.parse(Buffer.from(session.slice(start, places[index + 1]), "latin1"));
  return recorder;
}

for (const [what, session] of Object.entries(sessions)) {
  const whole = parsed(session, []);

  test(`${what} is understood`, () => {
    assert.equal(whole.isRefused, false);
    assert.ok(whole.said.length >= 3);
  });

  test(`${what} says the same wherever it is cut in two`, () => {
    for (let cut = 0; cut <= session.length; cut += 1)
      assert.deepEqual(parsed(session, [cut]).said, whole.said, `cut at ${cut}`);
  });

  test(`${what} says the same byte by byte`, () => {
    const everywhere = Array.from({ length: session.length }, (_, index) => index);
    assert.deepEqual(parsed(session, everywhere).said, whole.said);
  });

  test(`${what} that ends anywhere says nothing that it had not said`, () => {
    for (let end = 0; end < session.length; end += 1) {
      const { said, isRefused } = parsed(session.slice(0, end), []);
      assert.equal(isRefused, false);
      assert.deepEqual(said, whole.said.slice(0, said.length));
    }
  });
}

test("a spoilt session says the same in pieces as in one, up to where it is refused", () => {
  fc.assert(
    fc.property(spoilt, fc.array(fc.nat({ max: 2_000 }), { maxLength: 8 }), (session, cuts) => {
      const whole = parsed(session, []);
      const pieces = parsed(
        session,
        cuts.map((cut) => cut % (session.length + 1)),
      );
      assert.deepEqual(pieces.said, whole.said);
      assert.equal(pieces.isRefused, whole.isRefused);
    }),
    { numRuns: 5_000 },
  );
});

test("bytes of no sense are refused or waited for, and never more", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), (chunks) => {
      const recorder = new Recorder();
      const parser = new ClientParser(recorder, BODY_BYTES_MAX);
      for (const chunk of chunks) parser.parse(Buffer.from(chunk));
    }),
    { numRuns: 2_000 },
  );
});

test("what is only announced costs nothing", () => {
  const before = process.memoryUsage().arrayBuffers;
  const parsers = Array.from({ length: 1_000 }, () => {
    const parser = new ClientParser(new Recorder(), 64 * 1024 * 1024);
    parser.parse(Buffer.from("PUB a 60000000\r\nx"));
    for (let index = 0; index < 100; index += 1) parser.parse(Buffer.from("y"));
    return parser;
  });
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024);
  assert.equal(parsers.length, 1_000);
});

test("a large body in small pieces is put together once", () => {
  const recorder = new Recorder();
  const size = 5_000_000;
  const parser = new ClientParser(recorder, size);
  parser.parse(Buffer.from(`PUB a ${size}\r\n`));
  const piece = Buffer.alloc(1_000, "x");
  for (let sent = 0; sent < size; sent += piece.length) parser.parse(piece);
  assert.equal(recorder.said.length, 0);
  parser.parse(Buffer.from("\r\nPING\r\n"));
  assert.equal(recorder.said.length, 2);
});

test("header blocks of any bytes are read or not, and never throw", () => {
  const piece = fc.constantFrom("NATS/1.0", "\r\n", "\r", "\n", ":", "a", " ", "503", "\0", "é");
  const anything = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(""));
  const word = fc.array(piece, { maxLength: 3 }).map((pieces) => pieces.join(""));
  const line = fc.tuple(word, word).map(([name, value]) => `${name}:${value}`);
  const lines = fc.array(line, { maxLength: 4 }).map((all) => ["NATS/1.0", ...all, "\r\n"].join("\r\n"));
  let readCount = 0;
  fc.assert(
    fc.property(fc.oneof(anything, lines), (text) => {
      for (const [name, value] of parseHeaderBlock(Buffer.from(text))?.headers ?? []) {
        readCount += 1;
        assert.ok(!/[\r\n:]/.test(name));
        assert.ok(!value.includes(10));
      }
    }),
    { numRuns: 5_000 },
  );
  assert.ok(readCount > 100, `${readCount} headers were read`);
});
