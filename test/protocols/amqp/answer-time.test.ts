import assert from "node:assert/strict";
import { test } from "node:test";
import { openServer } from "../../../src/server/open-server.js";
import { openTestBus } from "../../../src/testing/index.js";
import { RawClient } from "./raw-client.js";

test("a delivery that is not answered for half an hour closes its channel, and the message is for others", async (t) => {
  const bus = await openTestBus();
  const server = await openServer(bus, { amqp: { port: 0 }, nats: "off", http: "off" });
  const client = await RawClient.open(server.addresses.amqp!.port);
  t.after(async () => {
    client.destroy();
    await server.close(0);
    await bus.close();
  });
  await client.openChannel();
  await client.declareQueue("q");
  client.publish("", "q", Buffer.from("a"));
  client.send(1, "basic.qos", { prefetchSize: 0, prefetchCount: 1, global: false });
  await client.expect("basic.qos-ok");
  const consume = { ticket: 0, queue: "q", consumerTag: "c", noLocal: false, noAck: false, exclusive: false };
  client.send(1, "basic.consume", { ...consume, noWait: false, arguments: new Map() });
  await client.expect("basic.consume-ok");
  assert.equal((await client.delivery()).toString(), "a");
  const turn = (): Promise<void> => new Promise((resolve) => bus.clock.defer(resolve));
  await bus.clock.advance(29 * 60_000, turn);
  client.send(1, "basic.qos", { prefetchSize: 0, prefetchCount: 0, global: false });
  await client.expect("basic.qos-ok");
  await bus.clock.advance(60_000, turn);
  const { replyCode, replyText } = await client.expect("channel.close");
  assert.equal(replyCode, 406);
  assert.match(
    replyText,
    /delivery acknowledgement on channel 1 timed out\. Timeout value used: 1800000 ms\./,
  );
  client.send(1, "channel.close-ok", {});
  await client.openChannel(2);
  client.send(2, "basic.get", { ticket: 0, queue: "q", noAck: true });
  assert.equal((await client.expect("basic.get-ok")).redelivered, true);
  await client.next();
  assert.equal((await client.next())?.payload.toString(), "a");
  await client.close();
});
