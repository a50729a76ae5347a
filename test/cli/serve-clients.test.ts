// Real clients of `omnibus serve`: what a signal does to them and to what they sent.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectNats } from "@nats-io/transport-node";
import { type ChannelModel, connect } from "amqplib";
import { cli, scratch } from "./run-cli.js";
import { Served } from "./served.js";

const FREE = ["--amqp", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--http", "off"];

async function amqpClient(served: Served, user = "guest:guest"): Promise<ChannelModel> {
  const client = await connect(`amqp://${user}@127.0.0.1:${served.port("amqp")}`);
  // Its end is that of its server, which is killed after the test.
  client.on("error", () => undefined);
  return client;
}

test("what was confirmed before SIGTERM, or before kill -9, is there again", async (t) => {
  const data = join(await scratch(t), "data");
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const served = await Served.start(t, ["--data", data, ...FREE]);
    const client = await amqpClient(served);
    const channel = await client.createConfirmChannel();
    await channel.assertQueue("jobs", { durable: true });
    for (let job = 0; job < 100; job += 1)
      channel.sendToQueue("jobs", Buffer.from(`${signal} ${job}`), { persistent: true });
    await channel.waitForConfirms();
    served.child.kill(signal);
    await once(served.child, "exit");
  }
  const served = await Served.start(t, ["--data", data, ...FREE]);
  const channel = await (await amqpClient(served)).createChannel();
  const { messageCount } = await channel.checkQueue("jobs");
  assert.equal(messageCount, 200);
});

test("SIGTERM tells clients of AMQP and NATS that the server goes, and they are let finish", async (t) => {
  const data = join(await scratch(t), "data");
  const served = await Served.start(t, ["--data", data, ...FREE]);
  const client = await amqpClient(served);
  const channel = await client.createChannel();
  await channel.assertQueue("jobs");
  const nats = await connectNats({ servers: `127.0.0.1:${served.port("nats")}`, reconnect: false });
  await nats.flush();
  const closed = once(client, "close");
  served.child.kill("SIGTERM");
  const [error] = (await closed) as [(Error & { readonly code?: number }) | undefined];
  assert.match(String(error), /320|CONNECTION_FORCED|CONNECTION-FORCED/);
  await nats.closed();
  const [code] = await once(served.child, "exit");
  assert.equal(code, 0);
});

test("SIGHUP with another password cuts the client that came with the one before", async (t) => {
  const folder = await scratch(t);
  const file = join(folder, "omnibus.yaml");
  const users = async (password: string) => {
    const { stdout: hash } = await cli(["hash-password"], { input: `${password}\n` });
    await writeFile(file, `users:\n  - name: ada\n    password: ${hash}`);
  };
  await users("first");
  const served = await Served.start(t, ["--config", file, "--data", join(folder, "data"), ...FREE]);
  assert.equal(served.ready.hasUsers, true);
  await assert.rejects(amqpClient(served), /403|ACCESS_REFUSED|ACCESS-REFUSED|closed/i);
  const client = await amqpClient(served, "ada:first");
  const closed = new Promise((resolve) => client.once("close", resolve));
  await users("second");
  served.child.kill("SIGHUP");
  await closed;
  assert.equal((await served.logged(/was read again/))["cut"], 1);
  await assert.rejects(amqpClient(served, "ada:first"));
  const again = await amqpClient(served, "ada:second");
  await (await again.createChannel()).assertQueue("jobs");
});
