import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, command, event } from "../../src/index.js";
import { collect, diskBus, failsWith, testBus } from "../support/buses.js";

const Reserve = command<{ readonly sku: string }>("stock.reserve");

test("headers arrive as they were given, whatever their names", async (t) => {
  const bus = await testBus(t);
  const headers = { trace: "1", ["__proto__"]: "p", empty: "", ü: "ö" };
  const given = Object.fromEntries(Object.entries(headers).concat([["__proto__", "p"]]));
  const seen: Record<string, string>[] = [];
  bus.handle(Reserve, (_value, { message }) => void seen.push(message.headers));
  await bus.send(Reserve, { sku: "a" }, { headers: given });
  await bus.settled();
  assert.deepEqual(Object.entries(seen[0]!).sort(), Object.entries(given).sort());

  await failsWith("INVALID_OPTION", () =>
    bus.send(Reserve, { sku: "a" }, { headers: { "omnibus-id": "x" } }),
  );
  const wrong = { n: 1 } as unknown as Record<string, string>;
  await failsWith("INVALID_OPTION", () => bus.send(Reserve, { sku: "a" }, { headers: wrong }), /header 'n'/);
  const large = { a: "ü".repeat(16 * 1024), b: "x".repeat(32 * 1024) };
  await failsWith(
    "MESSAGE_TOO_LARGE",
    () => bus.send(Reserve, { sku: "a" }, { headers: large }),
    /headers.*65538/,
  );
  assert.equal((await bus.queue("stock.reserve").statistics()).published, 1);
});

test("a payload that cannot be written is refused and leaves no trace, not even a queue", async (t) => {
  const bus = await testBus(t);
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  const Any = command<unknown>("any");
  for (const value of [undefined, 1n, cycle, () => 1, Symbol("s"), { toJSON: () => undefined }])
    await failsWith("INVALID_PAYLOAD", () => bus.send(Any, value), /any/);
  await failsWith("INVALID_PAYLOAD", () => bus.sendMany(Any, [1, undefined]));
  const Bytes = event<Uint8Array>("bytes.sent", { codec: bytes });
  await failsWith("INVALID_PAYLOAD", () => bus.publish(Bytes, "text" as unknown as Uint8Array), /Uint8Array/);
  const broken = { contentType: "x", encode: () => 5 as unknown as string, decode: () => 5 };
  await failsWith("INVALID_PAYLOAD", () => bus.send(command("broken", { codec: broken }), 1), /codec gave 5/);
  await failsWith("INVALID_PAYLOAD", () => bus.queue("q").send(5 as unknown as string), /is 5/);
  assert.deepEqual(bus.statistics().queues, []);
  assert.deepEqual(bus.statistics().topics, []);
});

test("a key that is no string, or cannot be found, is refused instead of losing the order", async (t) => {
  const bus = await testBus(t);
  const keyed = (key: (value: { id?: unknown }) => unknown) =>
    command<{ id?: unknown }>("keyed", { key: key as () => string });
  await failsWith(
    "INVALID_PAYLOAD",
    () =>
      bus.send(
        keyed(({ id }) => id),
        {},
      ),
    /key.*undefined/,
  );
  await failsWith(
    "INVALID_PAYLOAD",
    () =>
      bus.send(
        keyed(({ id }) => id),
        { id: 5 },
      ),
    /key.*number/,
  );
  await failsWith(
    "INVALID_PAYLOAD",
    () =>
      bus.send(
        keyed(({ id }) => (id as { a: { b: string } }).a.b),
        {},
      ),
    /TypeError/,
  );
  await failsWith(
    "INVALID_OPTION",
    () =>
      bus.send(
        keyed(({ id }) => id),
        { id: "x".repeat(5_000) },
      ),
    /5000 long/,
  );
  await failsWith(
    "INVALID_OPTION",
    () => bus.send(Reserve, { sku: "a" }, { key: 5 as unknown as string }),
    /key/,
  );
  assert.deepEqual(bus.statistics().queues, []);
});

test("the largest body, an empty one, and text of every kind come back as they were sent", async (t) => {
  const bus = await diskBus(t);
  const texts = ["", "a", "ü€😀", "\u0000", "x".repeat(1024 * 1024)];
  const queue = bus.queue("q");
  await queue.sendMany(texts);
  await queue.send(new Uint8Array([0, 255, 128]));
  await failsWith("MESSAGE_TOO_LARGE", () => queue.send("x".repeat(1024 * 1024 + 1)), /messageBytesMax/);
  const messages = await collect(queue.browse());
  assert.deepEqual(
    messages.slice(0, -1).map((message) => message.text()),
    texts,
  );
  assert.deepEqual([...messages.at(-1)!.body], [0, 255, 128]);
});
