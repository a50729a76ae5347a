// The same stories on Omnibus and on RabbitMQ: a client sees the same.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client } from "../../protocols/amqp/client.js";
import {
  missingRabbitMq,
  type RunningServer,
  startOmnibus,
  startRabbitMq,
} from "../../support/real-servers.js";
import { scenarios } from "./amqp-scenarios.js";

const skip = missingRabbitMq();
let omnibus: RunningServer;
let rabbitMq: RunningServer;

before(async () => {
  if (skip !== false) return;
  [omnibus, rabbitMq] = await Promise.all([startOmnibus(), startRabbitMq()]);
});
after(async () => {
  await Promise.all([omnibus?.stop(), rabbitMq?.stop()]);
});

for (const [name, scenario] of Object.entries(scenarios)) {
  test(`${name}: the same on Omnibus and on RabbitMQ`, { skip, timeout: 30_000 }, async (t) => {
    const ours = await scenario(await Client.connect(t, omnibus.port));
    const theirs = await scenario(await Client.connect(t, rabbitMq.port));
    assert.deepEqual(ours, theirs);
  });
}
