// The same operations on Omnibus and on RabbitMQ: a client sees the same. `OMNIBUS_SEED` plays one sequence.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  missingRabbitMq,
  type RunningServer,
  startOmnibus,
  startRabbitMq,
} from "../../support/real-servers.js";
import { type Operation, operations } from "./amqp-operations.js";
import { type Observation, Player } from "./amqp-player.js";

const SEEDS = 60;
const OPERATIONS = 60;

const skip = missingRabbitMq();
const given = process.env["OMNIBUS_SEED"];
const seeds = given === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed + 1) : [Number(given)];
let omnibus: RunningServer;
let rabbitMq: RunningServer;

before(async () => {
  if (skip !== false) return;
  [omnibus, rabbitMq] = await Promise.all([startOmnibus(), startRabbitMq()]);
});
after(async () => {
  await Promise.all([omnibus?.stop(), rabbitMq?.stop()]);
});

for (const seed of seeds) {
  test(`sequence ${seed} looks the same on Omnibus and on RabbitMQ`, { skip }, async () => {
    const sequence = operations(seed, OPERATIONS);
    const ours = await playedOn(omnibus.url, sequence);
    const theirs = await playedOn(rabbitMq.url, sequence);
    for (const [index, operation] of sequence.entries()) {
      const story = sequence.slice(0, index + 1).map((one) => JSON.stringify(one));
      const what = `operation ${index} of sequence ${seed}, ${operation.do}, differs after\n${story.join("\n")}`;
      assert.deepEqual({ what, seen: ours[index] }, { what, seen: theirs[index] });
    }
  });
}

async function playedOn(url: string, sequence: readonly Operation[]): Promise<Observation[]> {
  const player = new Player(url);
  try {
    return await player.play(sequence);
  } finally {
    await player.close();
  }
}
