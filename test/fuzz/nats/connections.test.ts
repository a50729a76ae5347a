// Whole connections that do what no client does: the server lives, nothing grows, and the others notice nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { connectLine, type RawClient, World } from "../../protocols/nats/world.js";
import { sessions, spoilt } from "./sessions.js";

/** Two clients who go on as if nothing were. */
class Witnesses {
  readonly #publisher: RawClient;
  readonly #subscriber: RawClient;
  #count = 0;

  private constructor(publisher: RawClient, subscriber: RawClient) {
    this.#publisher = publisher;
    this.#subscriber = subscriber;
  }

  static async in(world: World): Promise<Witnesses> {
    const [publisher, subscriber] = [await world.raw(), await world.raw()];
    assert.equal(await publisher.ask(connectLine()), "");
    assert.equal(await subscriber.ask(connectLine(), "SUB witness.* 1\r\n"), "");
    return new Witnesses(publisher, subscriber);
  }

  /** A message comes from one to the other, whole and in order. */
  async agree(): Promise<void> {
    this.#count += 1;
    const body = `number ${this.#count}`;
    this.#publisher.send(`PUB witness.a ${body.length}\r\n${body}\r\n`);
    assert.equal(
      await this.#subscriber.until(`${body}\r\n`),
      `MSG witness.a 1 ${body.length}\r\n${body}\r\n`,
    );
  }
}

async function socketTo(t: TestContext, port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => undefined);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

test("spoilt sessions in any pieces leave the others alone, and nothing behind", async (t) => {
  const world = await World.open(t);
  const witnesses = await Witnesses.in(world);
  await fc.assert(
    fc.asyncProperty(
      spoilt,
      fc.array(fc.nat({ max: 2_000 }), { maxLength: 5 }),
      fc.constantFrom("end", "destroy", "reset"),
      async (session, cuts, leave) => {
        const socket = await socketTo(t, world.port);
        socket.resume();
        const closed = once(socket, "close");
        const places = [
          0,
          ...cuts.map((cut) => cut % (session.length + 1)).sort((a, b) => a - b),
          session.length,
        ];
        for (const [index, start] of places.slice(0, -1).entries()) {
          const piece = session.slice(start, places[index + 1]);
          if (piece !== "")
            await new Promise<void>((resolve) => socket.write(piece, "latin1", () => resolve()));
        }
        if (leave === "end") socket.end();
        else if (leave === "destroy") socket.destroy();
        else socket.resetAndDestroy();
        await closed;
        await witnesses.agree();
      },
    ),
    { numRuns: 300 },
  );
  assert.deepEqual(
    world.log.lines.filter(({ level }) => level === "error"),
    [],
  );
});

test("real sessions that stop at any byte and hang leave the others alone", async (t) => {
  const world = await World.open(t);
  const witnesses = await Witnesses.in(world);
  for (const session of Object.values(sessions)) {
    const hanging: Socket[] = [];
    for (let end = 0; end < session.length; end += 7) {
      const socket = await socketTo(t, world.port);
      socket.write(session.slice(0, end), "latin1");
      hanging.push(socket);
    }
    await witnesses.agree();
    for (const socket of hanging) socket.destroy();
  }
  await witnesses.agree();
});

test("a client that closes its half of the connection is answered and let go", async (t) => {
  const world = await World.open(t);
  const socket = connect({ port: world.port, host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => socket.destroy());
  let received = "";
  socket.on("data", (bytes: Buffer) => {
    received += bytes.toString();
  });
  const ended = once(socket, "end");
  socket.end(`${connectLine()}SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n`);
  await ended;
  assert.match(received, /MSG a 1 1\r\nx\r\nPONG\r\n$/);
});

test("a flood of connections that say nothing, or too much, leaves the others alone", async (t) => {
  const world = await World.open(t);
  const witnesses = await Witnesses.in(world);
  for (let round = 0; round < 5; round += 1) {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => socketTo(t, world.port)));
    for (const [index, socket] of sockets.entries()) {
      if (index % 3 === 0) socket.write("PUB a 16777216\r\n");
      if (index % 3 === 1) socket.write("x".repeat(10_000));
    }
    await witnesses.agree();
    for (const socket of sockets) socket.destroy();
  }
  await witnesses.agree();
});

test("subscriptions that come and go in great numbers leave nothing behind", async (t) => {
  const world = await World.open(t);
  const witnesses = await Witnesses.in(world);
  const client = await world.raw();
  assert.equal(await client.ask(connectLine()), "");
  for (let round = 0; round < 3; round += 1) {
    let session = "";
    for (let sid = 0; sid < 2_000; sid += 1)
      session += `SUB fuzz.${sid}.* ${sid}\r\nSUB fuzz.${sid} q ${sid}q\r\n`;
    for (let sid = 0; sid < 2_000; sid += 1) session += `UNSUB ${sid}\r\nUNSUB ${sid}q\r\n`;
    assert.equal(await client.ask(session), "");
    await witnesses.agree();
  }
});

test("a flood of messages does not keep the others waiting", async (t) => {
  const world = await World.open(t);
  const witnesses = await Witnesses.in(world);
  const flooder = await socketTo(t, world.port);
  flooder.resume();
  flooder.write(connectLine());
  const batch = Buffer.from("PUB flood.everywhere 16\r\n0123456789abcdef\r\n".repeat(20_000));
  let isOver = false;
  const flood = (): void => {
    while (!isOver && flooder.write(batch)) {
      // As long as the system takes it.
    }
    if (!isOver) flooder.once("drain", flood);
  };
  flood();
  for (let round = 0; round < 20; round += 1) await witnesses.agree();
  isOver = true;
});

test("messages that are published and never read do not grow beyond their bound", async (t) => {
  const pendingBytesMax = 1024 * 1024;
  const world = await World.open(t, { limits: { pendingBytesMax } });
  const witnesses = await Witnesses.in(world);
  const deaf = await socketTo(t, world.port);
  deaf.write(`${connectLine()}SUB loud 1\r\n`);
  const closed = once(deaf, "close");
  deaf.pause();
  const loud = await world.raw();
  loud.send(connectLine());
  const body = "x".repeat(100_000);
  const isLogged = (): boolean => world.log.lines.some(({ text }) => text === "Slow Consumer");
  for (let sent = 0; !isLogged() && sent < 1_000; sent += 1) {
    assert.equal(await loud.ask(`PUB loud ${body.length}\r\n${body}\r\n`), "");
    await witnesses.agree();
  }
  assert.ok(isLogged());
  deaf.resume();
  await closed;
});
