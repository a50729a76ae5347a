import assert from "node:assert/strict";
import { test } from "node:test";
import { Load, type LoadResult } from "../../bench/load.js";
import { arrayQueues, type Fault } from "./array-queues.js";

const QUEUES = 3;
const DEPTH = 10;
/** Long enough that a loaded machine is not taken for an engine that lost something. */
const PATIENT_MS = 20_000;

async function load(fault: Fault | undefined, stallMs: number): Promise<LoadResult> {
  const engine = arrayQueues(fault);
  const session = await engine.open({ directory: "", queues: QUEUES, depth: DEPTH });
  const result = await new Load(engine, session, QUEUES, DEPTH, stallMs).run({ warmUpMs: 5, measureMs: 20 });
  await session.close();
  return result;
}

test("an engine that works gets a rate and a latency", async () => {
  const { publishedPerSecond, handledPerSecond, p50Ms, p99Ms } = await load(undefined, PATIENT_MS);
  assert.ok(Number.isFinite(publishedPerSecond) && publishedPerSecond > 0);
  assert.ok(Number.isFinite(handledPerSecond) && handledPerSecond > 0);
  assert.ok(p50Ms > 0 && p50Ms <= p99Ms);
});

const faults: readonly (readonly [Fault, RegExp])[] = [
  ["repeats", /delivered message 5 twice/],
  ["damages", /delivered a body that nobody published there/],
  ["misroutes", /delivered a body that nobody published there/],
  ["invents", /delivered message 1000000000, which was not published/],
  ["rejects", /no room/],
];
for (const [fault, expected] of faults) {
  test(`an engine that ${fault} a message gets an error instead of a rate`, async () => {
    await assert.rejects(load(fault, PATIENT_MS), expected);
  });
}

test("an engine that loses a message gets an error once nothing moves any more", async () => {
  await assert.rejects(load("loses", 50), /nothing moved for 50 ms: \d+ published/);
});
