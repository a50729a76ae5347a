// A server for one benchmark, in a process of its own: opens a bus in the directory that it is given, says where it
// listens, and ends when it is asked to.

import { openBus } from "../src/index.js";
import { openServer } from "../src/server/open-server.js";

const bus = await openBus(process.argv[2]!);
const server = await openServer(bus, {
  amqp: { port: 0 },
  nats: { port: 0 },
  http: "off",
  limits: { connectionsMax: 100_000 },
});
const { amqp, nats } = server.addresses;
process.once("disconnect", end);
process.once("SIGTERM", end);
process.send!({ amqp: amqp?.port, nats: nats?.port });

async function end(): Promise<void> {
  await server.close();
  await bus.close();
  process.exit(0);
}
