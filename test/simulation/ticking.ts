// A schedule of a history: each of its times has one message, or none where that is allowed, and never two.

import assert from "node:assert/strict";
import { ID_HEADER } from "../../src/broker/message.js";
import type { ScheduleStatistics } from "../../src/broker/schedule.js";
import { message } from "../support/broker-world.js";
import type { Stage } from "./stage.js";

const EVERY_MS = 700;
const QUEUE = "ticks";

export class Ticking {
  readonly #stage: Stage;
  #wasResumed = false;
  /** Whether it is paused, where that is known. */
  #isPaused: boolean | undefined = undefined;
  #seen: readonly number[] = [];
  readonly operations = { schedule: () => this.#change() };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Declares what is needed, in an engine that was opened. */
  async open(): Promise<void> {
    if (this.#stage.plan.missed !== undefined) await this.#stage.broker!.declareQueue(QUEUE, {});
  }

  /** What was confirmed lasts, and nothing that was sent is lost, doubled or out of order. */
  async check(): Promise<void> {
    const { broker, world, plan } = this.#stage;
    if (plan.missed === undefined) return;
    const sentBefore = this.#schedule()?.sent ?? 0;
    const times = await world.run(timesIn(broker!.queue(QUEUE)!.browse(true)));
    assert.ok(times.length >= sentBefore, `${times.length} of ${sentBefore} scheduled messages are there`);
    assert.ok(
      times.length <= (this.#schedule()?.sent ?? 0),
      `${times.length} scheduled messages are too many`,
    );
    assert.deepEqual(times.slice(0, this.#seen.length), this.#seen, "scheduled messages are lost");
    for (const [index, time] of times.entries()) this.#checkStep(times[index - 1], time);
    this.#seen = times;
    const isPaused = this.#schedule()?.isPaused;
    if (this.#isPaused !== undefined)
      assert.equal(isPaused, this.#isPaused, "a pause of a schedule is forgotten");
    this.#isPaused = isPaused;
  }

  /** It still sends, and then ends, so that time may pass. */
  async drain(): Promise<void> {
    const { world, tally } = this.#stage;
    const schedule = this.#schedule();
    if (schedule === undefined) return;
    if (!schedule.isPaused && tally.faults["clock jump"] === 0) {
      await world.pass(5 * EVERY_MS);
      const lateMs = world.nowMs - (this.#schedule()!.lastAtMs ?? 0);
      assert.ok(lateMs <= 3 * EVERY_MS, `the schedule has sent nothing for ${lateMs} ms`);
    }
    await this.#setPaused(true);
    await this.check();
    const { sent } = this.#schedule()!;
    await world.pass(2 * EVERY_MS);
    assert.equal(this.#schedule()!.sent, sent, "a paused schedule sends");
  }

  async #change(): Promise<void> {
    const { broker, plan, random, world } = this.#stage;
    if (plan.missed === undefined) return;
    const schedule = this.#schedule();
    if (schedule !== undefined) {
      await this.#setPaused(!schedule.isPaused);
      return;
    }
    const declared = broker!.schedules.declare("tick", {
      times: { everyMs: EVERY_MS },
      target: { kind: "queue", name: QUEUE },
      message: message("tick"),
      missed: plan.missed,
    });
    const followed = this.#stage.follow(
      declared,
      () => undefined,
      () => undefined,
    );
    if (random.chance(0.7)) await world.run(followed);
  }

  async #setPaused(isPaused: boolean): Promise<void> {
    const { broker, world } = this.#stage;
    this.#isPaused = undefined;
    this.#wasResumed ||= !isPaused;
    const { schedules } = broker!;
    const changed = this.#stage.follow(
      isPaused ? schedules.pause("tick") : schedules.resume("tick"),
      () => {
        this.#isPaused = isPaused;
      },
      () => undefined,
    );
    await world.run(changed);
  }

  #schedule(): ScheduleStatistics | undefined {
    const [schedule] = this.#stage.broker!.schedules;
    return schedule;
  }

  #checkStep(before: number | undefined, time: number): void {
    if (before === undefined) return;
    assert.ok(time > before, `${time} was sent after ${before}`);
    assert.equal((time - before) % EVERY_MS, 0, `${time} is no time of the schedule`);
    if (this.#stage.plan.missed !== "all" || this.#wasResumed) return;
    assert.equal(time - before, EVERY_MS, `${(time - before) / EVERY_MS - 1} scheduled messages are missing`);
  }
}

/** When the messages were due, in the order in which they are stored. */
async function timesIn(
  messages: AsyncIterable<{ readonly record: { header(name: string): Buffer | undefined } }>,
): Promise<number[]> {
  const times: number[] = [];
  for await (const { record } of messages)
    times.push(
      Date.parse(
        record
          .header(ID_HEADER)!
          .toString("utf8")
          .replace(/^tick@/, ""),
      ),
    );
  return times;
}
