import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage } from "../../../src/cli/demo/stage.js";
import { Tally } from "../../../src/cli/demo/tally.js";
import { World } from "../../../src/cli/world.js";
import { systemIo } from "../../../src/io/system-io.js";
import { VirtualClock } from "../../../src/testing/index.js";

function show(columns: number | undefined): { stage: Stage; clock: VirtualClock; text: () => string } {
  let written = "";
  const output = {
    ...(columns === undefined ? {} : { isTTY: true, columns }),
    write: (text: string | Uint8Array) => {
      written += typeof text === "string" ? text : Buffer.from(text).toString();
      return true;
    },
    once: () => undefined,
  };
  const clock = new VirtualClock();
  const world = new World({
    io: { ...systemIo, clock },
    stdin: (async function* () {})(),
    stdout: output,
    stderr: output,
    environment: { NO_COLOR: "1" },
    onHangUp: () => undefined,
    signal: new AbortController().signal,
  });
  return { stage: new Stage(world, false), clock, text: () => written };
}

test("on a terminal the panel is drawn over itself, and lines of the log push it down", async () => {
  const { stage, clock, text } = show(100);
  const tally = new Tally("r");
  tally.acknowledged = 50;
  await clock.advance(100, async () => {});
  stage.show(tally, 100);
  await clock.advance(100, async () => {});
  stage.show(tally, 100);
  stage.log("something happened");
  const frames = text().split("\u001b[7A");
  assert.equal(frames.length, 3, "two more times over the seven lines of the first");
  assert.match(frames[0]!, /placed {8}━{21}─{21} {3}50\n/);
  assert.equal(frames[2], "\u001b[0J  0.20s  something happened\n");
});

test("no line of the panel is wider than the terminal", async () => {
  for (const columns of [40, 60, 72, 80, 200]) {
    const { stage, clock, text } = show(columns);
    const tally = new Tally("r");
    for (const consumer of Object.values(tally.consumers))
      Object.assign(consumer, { handled: 199_999, retried: 99_999, redelivered: 9_999 });
    await clock.advance(100, async () => {});
    stage.show(tally, 200_000);
    const lines = text().replaceAll("\u001b[2K", "").split("\n");
    for (const line of lines)
      assert.ok(line.length <= columns, `${line.length} characters on ${columns} columns`);
  }
});

test("elsewhere a line of numbers comes once a second", async () => {
  const { stage, clock, text } = show(undefined);
  const tally = new Tally("r");
  for (let step = 0; step < 25; step += 1) {
    await clock.advance(100, async () => {});
    stage.show(tally, 100);
  }
  assert.equal(text().split("\n").length - 1, 2);
  assert.equal(text().includes("\u001b"), false);
});
