import assert from "node:assert/strict";
import { test } from "node:test";
import { Tally } from "../../../src/cli/demo/tally.js";

const consumer = "billing";
const order = "r-000001";
const start = (attempt = 1) => ({ kind: "start", consumer, order, attempt }) as const;
const done = () => ({ kind: "done", consumer, order }) as const;
const failed = (isLast = false) => ({ kind: "failed", consumer, order, isLast }) as const;
const NOTHING = { handled: 0, retried: 0, redelivered: 0, deadLettered: 0, replayed: 0 };

function tallyIn(process: number): Tally {
  const tally = new Tally("r");
  tally.processes = process;
  return tally;
}

test("a failure that is tried again is a retry, not a redelivery", () => {
  const tally = tallyIn(1);
  for (const report of [start(1), failed(), start(2), done()]) tally.hear(report);
  assert.deepEqual(tally.consumers.billing, { ...NOTHING, handled: 1, retried: 1 });
});

test("what a killed process had in work comes again", () => {
  const tally = tallyIn(1);
  tally.hear(start());
  assert.equal(tally.inWorkCount, 1);
  tally.processes = 2;
  tally.hear({ kind: "open", openMs: 1, unfinishedRuns: [], backlog: 1 });
  assert.equal(tally.inWorkCount, 0);
  for (const report of [start(2), done()]) tally.hear(report);
  assert.deepEqual(tally.consumers.billing, { ...NOTHING, handled: 1, redelivered: 1 });
});

test("work that was done before the crash, and not stored, counts once", () => {
  const tally = tallyIn(1);
  for (const report of [start(), done()]) tally.hear(report);
  tally.processes = 2;
  for (const report of [start(2), done()]) tally.hear(report);
  assert.deepEqual(tally.consumers.billing, { ...NOTHING, handled: 1, redelivered: 1 });
});

test("a dead letter that is handed out again is replayed", () => {
  const tally = tallyIn(1);
  for (const report of [start(), failed(true)]) tally.hear(report);
  tally.died(consumer, order);
  tally.processes = 2;
  for (const report of [start(), done()]) tally.hear(report);
  assert.deepEqual(tally.consumers.billing, { ...NOTHING, handled: 1, deadLettered: 1, replayed: 1 });
});

test("orders of another run are what was left over", () => {
  const tally = tallyIn(1);
  for (const report of [start(), done()]) tally.hear({ ...report, order: "other-000001" });
  tally.died(consumer, "other-000002");
  assert.deepEqual([tally.consumers.billing, tally.leftOver], [NOTHING, 1]);
});
