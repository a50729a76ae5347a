import assert from "node:assert/strict";
import { test } from "node:test";
import { headerFrame, RawClient } from "./raw-client.js";
import { serve } from "./serving.js";

async function open(port: number): Promise<RawClient> {
  const client = await RawClient.open(port);
  await client.openChannel();
  await client.declareQueue("q");
  return client;
}

/** What waits in `q`, without taking it. */
async function count(client: RawClient): Promise<number> {
  client.send(1, "queue.declare", {
    ticket: 0,
    queue: "q",
    passive: true,
    durable: true,
    exclusive: false,
    autoDelete: false,
    noWait: false,
    arguments: new Map(),
  });
  return (await client.expect("queue.declare-ok")).messageCount;
}

async function get(client: RawClient): Promise<string> {
  client.send(1, "basic.get", { ticket: 0, queue: "q", noAck: false });
  const { deliveryTag } = await client.expect("basic.get-ok");
  await client.next();
  return `${deliveryTag} ${(await client.next())!.payload}`;
}

async function ask(client: RawClient, name: "select" | "commit" | "rollback"): Promise<void> {
  client.send(1, `tx.${name}`, {});
  await client.expect(`tx.${name}-ok`);
}

test("what is published in a transaction is there when it is committed, and never when it is rolled back", async (t) => {
  const { port } = await serve(t);
  const client = await open(port);
  const looking = await open(port);
  await ask(client, "select");
  client.publish("", "q", Buffer.from("a"));
  client.publish("amq.fanout", "", Buffer.from("leads nowhere"));
  client.publish("", "q", Buffer.from("b"));
  await count(client);
  assert.equal(await count(looking), 0);
  await ask(client, "commit");
  assert.equal(await count(looking), 2);
  client.publish("", "q", Buffer.from("c"));
  await ask(client, "rollback");
  await ask(client, "commit");
  assert.equal(await count(looking), 2);
  await client.close();
  await looking.close();
});

test("answers count when they are committed; rolled back, they may be given again", async (t) => {
  const { port } = await serve(t);
  const client = await open(port);
  for (const body of ["a", "b", "c"]) client.publish("", "q", Buffer.from(body));
  await ask(client, "select");
  assert.equal(await get(client), "1 a");
  assert.equal(await get(client), "2 b");
  assert.equal(await get(client), "3 c");
  client.send(1, "basic.ack", { deliveryTag: 2, multiple: true });
  client.send(1, "basic.nack", { deliveryTag: 3, multiple: false, requeue: true });
  await ask(client, "rollback");
  assert.equal(await count(client), 0);
  client.send(1, "basic.ack", { deliveryTag: 1, multiple: false });
  client.send(1, "basic.reject", { deliveryTag: 2, requeue: true });
  client.publish("", "q", Buffer.from("d"));
  await ask(client, "commit");
  assert.equal(await count(client), 2);
  assert.equal(await get(client), "4 b");
  assert.equal(await get(client), "5 d");
  await client.close();
  const again = await open(port);
  // `a` was acked; `c`, `b` and `d` were not.
  assert.equal(await count(again), 3);
  await again.close();
});

test("a channel is in one mode, and says so", async (t) => {
  const { port } = await serve(t);
  const fails = async (steps: (client: RawClient) => Promise<void> | void): Promise<string> => {
    const client = await open(port);
    await steps(client);
    const { replyCode, replyText } = await client.expect("channel.close");
    client.send(1, "channel.close-ok", {});
    await client.close();
    return `${replyCode} ${replyText}`;
  };
  assert.equal(
    await fails((client) => client.send(1, "tx.commit", {})),
    "406 PRECONDITION_FAILED - channel is not transactional",
  );
  assert.equal(
    await fails(async (client) => {
      await ask(client, "select");
      client.send(1, "confirm.select", { noWait: false });
    }),
    "406 PRECONDITION_FAILED - cannot switch from tx to confirm mode",
  );
  assert.equal(
    await fails(async (client) => {
      client.send(1, "confirm.select", { noWait: false });
      await client.expect("confirm.select-ok");
      client.send(1, "tx.select", {});
    }),
    "406 PRECONDITION_FAILED - cannot switch from confirm to tx mode",
  );
});

test("mandatory messages that lead nowhere come back with the commit", async (t) => {
  const { port } = await serve(t);
  const client = await open(port);
  await ask(client, "select");
  const address = { ticket: 0, exchange: "", routingKey: "nobody" };
  client.send(1, "basic.publish", { ...address, mandatory: true, immediate: false });
  client.socket.write(headerFrame(1, 0));
  client.send(1, "tx.commit", {});
  assert.equal((await client.expect("basic.return")).replyCode, 312);
  await client.next();
  await client.expect("tx.commit-ok");
  await client.close();
});
