import assert from "node:assert/strict";
import { test } from "node:test";
import { Heartbeat } from "../../../src/protocols/amqp/heartbeat.js";
import { VirtualClock } from "../../../src/testing/virtual-clock.js";

const INTERVAL_MS = 10_000;
const settle = async (): Promise<void> => undefined;

class Line {
  isListening = true;
  beats = 0;
  isSilent = false;

  beat(): void {
    this.beats += 1;
  }

  fellSilent(): void {
    this.isSilent = true;
  }
}

function world(): { clock: VirtualClock; line: Line; heartbeat: Heartbeat } {
  const clock = new VirtualClock();
  const line = new Line();
  return { clock, line, heartbeat: new Heartbeat(clock, INTERVAL_MS, line) };
}

test("a client hears of us twice in each interval", async () => {
  const { clock, line, heartbeat } = world();
  for (let second = 0; second < 100; second += 1) {
    heartbeat.heard();
    await clock.advance(1_000, settle);
  }
  assert.equal(line.beats, 20);
  assert.equal(line.isSilent, false);
});

test("a client that says nothing for more than two intervals is gone", async () => {
  const { clock, line, heartbeat } = world();
  heartbeat.heard();
  await clock.advance(2 * INTERVAL_MS, settle);
  assert.equal(line.isSilent, false);
  await clock.advance(INTERVAL_MS, settle);
  assert.equal(line.isSilent, true);
});

test("a client that is not listened to is not gone for that", async () => {
  const { clock, line } = world();
  line.isListening = false;
  await clock.advance(100 * INTERVAL_MS, settle);
  assert.equal(line.isSilent, false);
});

test("nothing beats after the end", async () => {
  const { clock, line, heartbeat } = world();
  heartbeat.stop();
  await clock.advance(100 * INTERVAL_MS, settle);
  assert.equal(line.beats, 0);
});
