// What goes out on a socket: all of it, in order, counted until the system took it, with chunks that are used again.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { SocketWriter } from "../../src/network/socket-writer.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Keeps copies of what it is given, and confirms when it is told to. */
class Sink extends Writable {
  readonly written: Buffer[] = [];
  writes = 0;
  isHeld = false;
  readonly #confirmations: (() => void)[] = [];

  get text(): string {
    return Buffer.concat(this.written).toString("latin1");
  }

  override _write(chunk: Buffer, _encoding: string, confirm: () => void): void {
    this.take([chunk], confirm);
  }

  override _writev(chunks: { chunk: Buffer }[], confirm: () => void): void {
    this.take(
      chunks.map(({ chunk }) => chunk),
      confirm,
    );
  }

  /** Confirms what is held back. */
  confirm(): void {
    for (const confirm of this.#confirmations.splice(0)) confirm();
  }

  private take(chunks: readonly Buffer[], confirm: () => void): void {
    this.writes += 1;
    for (const chunk of chunks) this.written.push(Buffer.from(chunk));
    if (this.isHeld) this.#confirmations.push(confirm);
    else confirm();
  }
}

/** Like {@link Sink}, and looks like a socket: chunks may be used again once they are confirmed. */
class SocketSink extends Sink {
  readonly bytesWritten = 0;
  readonly remotePort = 1;
}

test("what is written in one turn goes out together, when the turn's work is done", async () => {
  const sink = new Sink();
  const writer = new SocketWriter(sink, 1_000);
  writer.text("a");
  writer.view(Buffer.from("b"));
  writer.ensure(1);
  writer.buffer[writer.at] = 99;
  writer.at += 1;
  assert.equal(sink.writes, 0);
  assert.equal(writer.pendingBytes, 3);
  await turn();
  assert.equal(sink.text, "abc");
  assert.equal(sink.writes, 1);
  assert.equal(writer.pendingBytes, 0);
  assert.equal(writer.takenBytes, 3);
});

test("bytes come out as they went in, whatever their sizes, the pace and the kind of socket", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("encode" as const), size: fc.integer({ min: 0, max: 3_000 }) }),
    fc.record({ kind: fc.constant("encode" as const), size: fc.integer({ min: 0, max: 80_000 }) }),
    fc.record({ kind: fc.constant("view" as const), size: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({ kind: fc.constant("view" as const), size: fc.integer({ min: 500_000, max: 600_000 }) }),
    fc.record({
      kind: fc.constantFrom("turn" as const, "hold" as const, "confirm" as const),
      size: fc.constant(0),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 40 }), async (isSocket, steps) => {
      const sink = isSocket ? new SocketSink() : new Sink();
      const writer = new SocketWriter(sink, 100_000_000);
      const expected: Buffer[] = [];
      for (const [index, { kind, size }] of steps.entries()) {
        if (kind === "turn") await turn();
        else if (kind === "hold") sink.isHeld = true;
        else if (kind === "confirm") sink.confirm();
        else {
          const bytes = Buffer.alloc(size, index + 1);
          expected.push(bytes);
          if (kind === "view") writer.view(bytes);
          else {
            writer.ensure(size);
            bytes.copy(writer.buffer, writer.at);
            writer.at += size;
          }
        }
      }
      sink.isHeld = false;
      while (writer.pendingBytes > 0) {
        sink.confirm();
        await turn();
      }
      assert.ok(Buffer.concat(sink.written).equals(Buffer.concat(expected)));
      assert.equal(writer.takenBytes, sink.text.length);
    }),
    { numRuns: 150 },
  );
});

test("a socket is given the next only when it has taken what it was given before", async () => {
  const sink = new Sink();
  sink.isHeld = true;
  const writer = new SocketWriter(sink, 10_000_000);
  writer.text("first");
  await turn();
  writer.text("second");
  await turn();
  assert.equal(sink.text, "first");
  assert.equal(writer.pendingBytes, 11);
  sink.confirm();
  await turn();
  assert.equal(sink.text, "firstsecond");
  assert.equal(writer.takenBytes, 5);
});

test("a large body goes out a part at a time, so that it can be seen how the client gets on", async () => {
  const sink = new Sink();
  sink.isHeld = true;
  const writer = new SocketWriter(sink, 10_000_000);
  writer.view(Buffer.alloc(3_000_000));
  await turn();
  assert.ok(sink.text.length < 1_000_000);
  let looks = 0;
  for (let taken = writer.takenBytes; writer.pendingBytes > 0; looks += 1) {
    sink.confirm();
    await turn();
    assert.ok(writer.takenBytes > taken);
    taken = writer.takenBytes;
  }
  assert.ok(looks >= 3);
});

test("it says when as much waits as may, and when there is room again", async () => {
  const sink = new Sink();
  sink.isHeld = true;
  const writer = new SocketWriter(sink, 1_000);
  let rooms = 0;
  writer.onRoom = () => {
    rooms += 1;
  };
  writer.view(Buffer.alloc(999));
  assert.equal(writer.isCongested, false);
  writer.view(Buffer.alloc(1));
  assert.equal(writer.isCongested, true);
  await turn();
  assert.equal(rooms, 0);
  sink.confirm();
  await turn();
  assert.equal(rooms, 1);
  assert.equal(writer.isCongested, false);
});

test("ending sends everything first, and nothing more after", async () => {
  const sink = new Sink();
  sink.isHeld = true;
  const writer = new SocketWriter(sink, 1_000_000);
  writer.text("one");
  await turn();
  writer.text("two");
  writer.end();
  writer.text("too late");
  sink.confirm();
  await turn();
  assert.equal(sink.writableEnded, false);
  sink.confirm();
  await turn();
  assert.equal(sink.writableEnded, true);
  assert.equal(sink.text, "onetwo");
});

test("what is dropped is not sent", async () => {
  const sink = new Sink();
  const writer = new SocketWriter(sink, 1_000_000);
  writer.text("no");
  writer.discard();
  await turn();
  assert.equal(sink.text, "");
  assert.equal(writer.pendingBytes, 0);
});

/** Both ends of a real connection. */
async function pair(t: TestContext): Promise<[Socket, Socket]> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [served] = await accepted;
  t.after(() => {
    client.destroy();
    served.destroy();
    server.close();
  });
  return [served, client];
}

test("a real socket gets everything in order, through chunks that are used again", async (t) => {
  const [served, client] = await pair(t);
  const writer = new SocketWriter(served, 1_000_000_000);
  const received: Buffer[] = [];
  let receivedBytes = 0;
  client.on("data", (bytes: Buffer) => {
    received.push(bytes);
    receivedBytes += bytes.length;
  });
  let sentBytes = 0;
  let number = 0;
  for (let round = 0; round < 200; round += 1) {
    for (let message = 0; message < 2_000; message += 1) {
      const text = `${number};`;
      number += 1;
      sentBytes += text.length;
      writer.text(text);
    }
    if (round % 3 > 0) await turn();
  }
  while (receivedBytes < sentBytes) await turn();
  const numbers = Buffer.concat(received).toString("latin1").split(";").slice(0, -1);
  assert.equal(numbers.length, number);
  assert.ok(numbers.every((text, index) => text === String(index)));
});
