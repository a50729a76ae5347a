// One command in three formats: each message says how it was written, and the handler reads what it was sent.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, openBus } from "omnibus";
import { msgpack } from "omnibus/msgpack";
import { protobuf } from "omnibus/protobuf";
import { xml } from "omnibus/xml";
import { z } from "zod";
import { OrderSchema } from "./generated/order-pb.js"; // made from order.proto by protoc-gen-es

const schema = z.object({ id: z.string(), total: z.coerce.number<string | number>() });

// The consumer's own type is JSON; it knows the formats of its partners too.
const PlaceOrder = command("order.place", { schema });
const codecs = [msgpack, xml({ root: "order" }), protobuf(OrderSchema)];

// What each partner uses to send.
const Packed = command<{ id: string; total: number }>("order.place", { codec: msgpack });
const Marked = command("order.place", { codec: xml({ root: "order" }) });
const Compiled = command("order.place", { codec: protobuf(OrderSchema) });

const bus = await openBus(await mkdtemp(join(tmpdir(), "omnibus-codecs-")), { codecs });
const seen: string[] = [];
const allSeen = new Promise<void>((resolve) => {
  bus.handle(PlaceOrder, ({ id, total }, ctx) => {
    seen.push(`${id} ${total} ${ctx.message.contentType}`);
    if (seen.length === 4) resolve();
  });
});

await bus.send(PlaceOrder, { id: "o-1", total: 1 });
await bus.send(Packed, { id: "o-2", total: 2 });
await bus.send(Marked, { id: "o-3", total: 3 });
await bus.send(Compiled, { id: "o-4", total: 4 });
await allSeen;

for (const [index, line] of seen.entries()) console.log(`handled ${index + 1}: ${line}`);
assert.deepEqual(seen, [
  "o-1 1 application/json",
  "o-2 2 application/vnd.msgpack",
  "o-3 3 application/xml",
  "o-4 4 application/protobuf",
]);
await bus.close();
