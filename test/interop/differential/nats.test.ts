// The same lines to Omnibus and to nats-server: clients receive the same. `OMNIBUS_SEED` plays one sequence.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  missingNatsServer,
  type OmnibusServer,
  type RunningServer,
  startNatsServer,
  startOmnibus,
} from "../../support/real-servers.js";
import { type Operation, operations } from "./nats-operations.js";
import { Player } from "./nats-player.js";

const SEEDS = 200;
const OPERATIONS = 60;

const skip = missingNatsServer();
const given = process.env["OMNIBUS_SEED"];
const seeds = given === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed + 1) : [Number(given)];
let omnibus: OmnibusServer;
let natsServer: RunningServer;

before(async () => {
  if (skip !== false) return;
  [omnibus, natsServer] = await Promise.all([startOmnibus(), startNatsServer()]);
});
after(async () => {
  await Promise.all([omnibus?.stop(), natsServer?.stop()]);
});

test("sequences look the same on Omnibus and on nats-server", { skip }, async () => {
  for (const seed of seeds) {
    const sequence = operations(seed, OPERATIONS);
    const ours = await playedOn(Number(new URL(omnibus.natsUrl).port), sequence);
    const theirs = await playedOn(natsServer.port, sequence);
    for (const [index, { client, bytes }] of sequence.entries()) {
      const story = sequence.slice(0, index + 1).map((one) => JSON.stringify(one));
      const what = `operation ${index} of sequence ${seed}, ${client}: ${bytes}, differs after\n${story.join("\n")}`;
      const seen = comparable(ours[index]!, theirs[index]!);
      assert.deepEqual({ what, seen }, { what, seen: onceEach(theirs[index]!) });
    }
  }
});

/** Omnibus says why it closes a connection; nats-server does not always. */
function comparable(ours: readonly string[], theirs: readonly string[]): readonly string[] {
  const isUnexplained = theirs.some((item) => / closed$/.test(item)) && !theirs.some(isError);
  return isUnexplained ? ours.filter((item) => !isError(item)) : ours;
}

/** nats-server tells a pedantic client twice of a subject that `HPUB` may not have. */
function onceEach(items: readonly string[]): readonly string[] {
  return items.filter((item, index) => !isError(item) || item !== items[index - 1]);
}

function isError(item: string): boolean {
  return / -ERR /.test(item);
}

async function playedOn(port: number, sequence: readonly Operation[]): Promise<string[][]> {
  const player = new Player(port);
  try {
    return await player.play(sequence);
  } finally {
    player.close();
  }
}
