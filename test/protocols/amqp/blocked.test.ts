import assert from "node:assert/strict";
import { test } from "node:test";
import { embedded, openBus } from "../../../src/index.js";
import { systemIo } from "../../../src/io/system-io.js";
import { openServer } from "../../../src/server/open-server.js";
import { VirtualClock } from "../../../src/testing/virtual-clock.js";
import { SeededRandom } from "../../support/seeded-random.js";
import { SimulatedDisk } from "../../support/simulated-disk.js";
import { RawClient } from "./raw-client.js";

const FULL_MS = 5_000;

test("publishers are told that the disk is full, are not read from while it is, and go on when it is not", async (t) => {
  const clock = new VirtualClock();
  const disk = new SimulatedDisk(new SeededRandom(1), (action) => queueMicrotask(action));
  const bus = await openBus(embedded({ directory: "data", io: { ...systemIo, files: disk, clock } }));
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const server = await openServer(bus, { amqp: { port: 0 }, nats: "off", http: "off", log });
  t.after(async () => {
    const closing = server.close(0);
    await clock.advance(1_000, async () => undefined);
    await closing;
    await bus.close();
  });
  const { port } = server.addresses.amqp!;
  const publisher = await RawClient.open(port, { capabilities: ["connection.blocked"] });
  await publisher.openChannel();
  await publisher.declareQueue("q");
  publisher.send(1, "confirm.select", { noWait: false });
  await publisher.expect("confirm.select-ok");
  publisher.publish("", "q", Buffer.from("there is room"));
  await publisher.expect("basic.ack");

  disk.capacityBytes = 0;
  publisher.publish("", "q", Buffer.alloc(100_000));
  const told = [await publisher.next(), await publisher.next()].map((received) => received?.method);
  assert.deepEqual(told.map((method) => method?.name).sort(), ["basic.nack", "connection.blocked"]);
  assert.ok(told.some((method) => method?.name === "connection.blocked" && method.reason === "low on disk"));

  // Others get what there is.
  const consumer = await RawClient.open(port);
  await consumer.openChannel();
  consumer.send(1, "basic.get", { ticket: 0, queue: "q", noAck: true });
  await consumer.expect("basic.get-ok");

  disk.capacityBytes = Number.POSITIVE_INFINITY;
  publisher.publish("", "q", Buffer.from("there is room again"));
  await clock.advance(FULL_MS, async () => undefined);
  await publisher.expect("connection.unblocked");
  await publisher.expect("basic.ack");
});
