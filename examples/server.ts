// A program that lets others talk to its own bus: events come in over NATS, and its handler works on them.

import { connect } from "@nats-io/transport-node";
import { event, openBus } from "omnibus";
import { openServer } from "omnibus/server";

const OrderPlaced = event<{ id: string; total: number }>("order.placed");

const bus = await openBus("./data");
const server = await openServer(bus, { nats: { port: 0 }, amqp: "off", http: { port: 0 } });
const { nats, http } = server.addresses;

const handled = new Promise<void>((resolve) => {
  bus.on(OrderPlaced, { group: "billing" }, ({ id, total }) => {
    console.log(`billing: ${id} for ${total}`);
    resolve();
  });
});

// The first event of a type makes its topic; from then on whoever publishes its subject reaches the group.
const receipt = await bus.publish(OrderPlaced, { id: "o-1", total: 42 });
console.log(`stored as ${receipt.id}`);
await handled;

const ready = await fetch(`http://127.0.0.1:${http?.port}/health/ready`);
console.log(`health: ${ready.status} ${(await ready.text()).trim()}`);

// Any client of NATS, in any language and on any machine that may.
const client = await connect({ servers: `nats://127.0.0.1:${nats?.port}` });
const events = client.subscribe("order.>", { max: 1 });
client.publish("order.placed", JSON.stringify({ id: "o-2", total: 7 }), {});
for await (const message of events) console.log(`seen over NATS: ${message.subject} ${message.string()}`);
await client.close();

while ((await bus.topic("order").group("billing").statistics()).settled < 2) await new Promise(setImmediate);
await server.close();
await bus.close();
