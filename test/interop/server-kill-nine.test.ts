// `omnibus serve` is killed while a real client publishes with confirms, and consumes: what was confirmed is there again, and
// what was never sent is not. `OMNIBUS_SEED` decides when it is killed.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import amqp, { type ChannelModel, type ConfirmChannel, type ConsumeMessage } from "amqplib";
import { type OmnibusServer, startOmnibus } from "../support/real-servers.js";
import { SeededRandom } from "../support/seeded-random.js";

const LIVES = 8;
const QUEUE = "orders";
const UNCONFIRMED_MAX = 200;
/** A life ends after at least so many confirms, and at most this many more. */
const CONFIRMS_MIN = 50;
const CONFIRMS_MORE = 3_000;

const seed = Number(process.env["OMNIBUS_SEED"] ?? 1);
const folder = mkdtempSync(join(tmpdir(), "omnibus-kill-nine-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What is known of every message, over all lives. */
class Account {
  sent = 0;
  readonly confirmed = new Set<number>();
  readonly acknowledged = new Set<number>();
}

test(`nothing that was confirmed is lost when the server is killed ${LIVES} times`, async () => {
  const random = new SeededRandom(seed);
  const account = new Account();
  for (let life = 0; life < LIVES; life += 1)
    await liveAndDie(account, CONFIRMS_MIN + random.below(CONFIRMS_MORE));
  const found = await everythingThere();
  const lost = [...account.confirmed].filter((id) => !account.acknowledged.has(id) && !found.includes(id));
  assert.deepEqual(lost, [], `seed ${seed}`);
  assert.deepEqual(
    found.filter((id) => id >= account.sent),
    [],
    "nothing is invented",
  );
  assert.ok(account.confirmed.size >= LIVES * CONFIRMS_MIN);
  assert.deepEqual(
    found,
    [...found].sort((a, b) => a - b),
    "the order is kept",
  );
  assert.equal(new Set(found).size, found.length, "nothing is there twice");
});

/** Publishes and consumes until so many are confirmed, and kills the server then. */
async function liveAndDie(account: Account, confirms: number): Promise<void> {
  const server = await startOmnibus({ data: folder });
  const connection = await connected(server);
  const publisher = await connection.createConfirmChannel();
  await publisher.assertQueue(QUEUE, { durable: true });
  await consume(connection, account);
  await publish(publisher, account, confirms);
  await server.kill();
}

async function connected(server: OmnibusServer): Promise<ChannelModel> {
  const connection = await amqp.connect(server.url);
  connection.on("error", () => undefined);
  return connection;
}

/** Acknowledges every third message, one by one, and holds the others. */
async function consume(connection: ChannelModel, account: Account): Promise<void> {
  const channel = await connection.createChannel();
  channel.on("error", () => undefined);
  await channel.prefetch(500);
  await channel.consume(QUEUE, (message) => {
    if (message === null) return;
    const id = Number(message.content.toString());
    if (id % 3 !== 0) return;
    account.acknowledged.add(id);
    channel.ack(message);
  });
}

function publish(channel: ConfirmChannel, account: Account, confirms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let confirmed = 0;
    let waiting = 0;
    channel.on("error", reject);
    const send = (): void => {
      while (waiting < UNCONFIRMED_MAX && confirmed < confirms) {
        const id = account.sent;
        account.sent += 1;
        waiting += 1;
        channel.sendToQueue(QUEUE, Buffer.from(String(id)), { persistent: true }, (error) => {
          waiting -= 1;
          if (error !== null && error !== undefined) return;
          account.confirmed.add(id);
          confirmed += 1;
          if (confirmed === confirms) resolve();
          else send();
        });
      }
    };
    send();
  });
}

async function everythingThere(): Promise<number[]> {
  const server = await startOmnibus({ data: folder });
  const connection = await connected(server);
  const channel = await connection.createChannel();
  const { messageCount } = await channel.checkQueue(QUEUE);
  const found: number[] = [];
  await new Promise<void>((resolve, reject) => {
    const heard = (message: ConsumeMessage | null): void => {
      if (message !== null) found.push(Number(message.content.toString()));
      if (found.length === messageCount) resolve();
    };
    channel.consume(QUEUE, heard, { noAck: true }).catch(reject);
  });
  assert.equal((await channel.checkQueue(QUEUE)).messageCount, 0);
  await connection.close();
  await server.stop();
  return found;
}
