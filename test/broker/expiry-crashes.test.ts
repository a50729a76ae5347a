// Messages that expire, over many lives of a broker on a simulated disk. A failure names the seed that repeats it:
// OMNIBUS_SEED=<seed> runs that one alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { nack, TestConsumer, textOf } from "../support/test-consumer.js";

const SEEDS = 80;
const STEPS = 30;
const EXPIRY_MS_MAX = 20_000;

/** What is known of the messages of one run. */
interface Known {
  readonly expiresAtMs: number;
  isCommitted: boolean;
  /** Acknowledged, or purged: it may be gone. */
  mayBeGone: boolean;
}

class Run {
  readonly #world: BrokerWorld;
  readonly #known = new Map<string, Known>();
  readonly #isByKey: boolean;
  #broker: Broker | undefined = undefined;
  #consumer: TestConsumer | undefined = undefined;
  #problem: unknown = undefined;

  constructor(seed: number) {
    this.#world = new BrokerWorld(seed);
    this.#isByKey = this.#world.random.chance(0.5);
  }

  async run(): Promise<void> {
    await this.#open();
    for (let step = 0; step < STEPS; step += 1) {
      await this.#step();
      if (this.#problem !== undefined) throw this.#problem;
    }
    await this.#end();
  }

  async #step(): Promise<void> {
    const { random } = this.#world;
    const what = random.below(100);
    if (what < 35) await this.#publish();
    else if (what < 55) this.#answer();
    else if (what < 75) await this.#pass(random.pick([1, 100, 1_000, 5_000]));
    else if (what < 82) this.#consume();
    else if (what < 86) this.#consumer?.consumer.close();
    else if (what < 89) this.#purge();
    else await this.#reopen(random.pick(["close", "crash", "power"]));
  }

  get #queue() {
    return this.#broker!.queue("work")!;
  }

  async #open(): Promise<void> {
    const { random } = this.#world;
    const tailCacheBytes = random.pick([undefined, 1]);
    this.#broker = await this.#world.open(tailCacheBytes === undefined ? {} : { tailCacheBytes });
    const queue = await this.#broker.declareQueue("work");
    if (this.#isByKey) queue.dispatcher.orderByKey();
    this.#consumer = undefined;
    if (random.chance(0.5)) this.#consume();
  }

  #consume(): void {
    this.#consumer?.consumer.close();
    this.#consumer = new TestConsumer(this.#queue.dispatcher, { prefetch: 3 }, (delivery) => {
      const id = textOf(delivery);
      const { expiresAtMs } = this.#known.get(id)!;
      if (expiresAtMs !== 0 && expiresAtMs <= this.#broker!.clock.nowMs())
        this.#problem ??= new Error(`${id} was handed out after its time`);
    });
  }

  /** Some expire, some are delayed, some both. A crash may come before they are committed. */
  async #publish(): Promise<void> {
    const { random, clock } = this.#world;
    for (let left = 1 + random.below(6); left > 0; left -= 1) {
      const id = `m${this.#known.size}`;
      const expiresAtMs = random.chance(0.7) ? clock.nowMs() + 1 + random.below(EXPIRY_MS_MAX) : 0;
      const known: Known = { expiresAtMs, isCommitted: false, mayBeGone: false };
      this.#known.set(id, known);
      const readyAtMs = random.chance(0.3) ? clock.nowMs() + random.below(EXPIRY_MS_MAX) : undefined;
      const key = random.pick(["a", "b", null]);
      const times = { readyAtMs, expiresAtMs: expiresAtMs === 0 ? undefined : expiresAtMs };
      this.#queue.append(message(id, { key, ...times })).committed.then(
        () => {
          known.isCommitted = true;
        },
        () => undefined,
      );
    }
    await this.#world.turns(random.below(20));
  }

  #answer(): void {
    const { random } = this.#world;
    for (const delivery of this.#consumer?.takeAll() ?? []) {
      if (!delivery.isLeased) continue;
      if (random.chance(0.2)) continue;
      if (random.chance(0.3)) nack(delivery, random.pick([0, 100, 60_000]));
      else {
        delivery.ack();
        this.#known.get(textOf(delivery))!.mayBeGone = true;
      }
    }
  }

  #purge(): void {
    this.#queue.purge();
    for (const known of this.#known.values()) known.mayBeGone = true;
  }

  async #pass(durationMs: number): Promise<void> {
    await this.#world.pass(durationMs);
    const nowMs = this.#broker!.clock.nowMs();
    for await (const { record } of this.#queue.browse()) {
      const { expiresAtMs } = this.#known.get(record.valueText())!;
      const isLate = expiresAtMs !== 0 && expiresAtMs + 1_000 <= nowMs;
      const [state] = this.#queue.states;
      assert.ok(!(isLate && state!.isWaiting(record.offset)), `${record.valueText()} waits beyond its time`);
    }
  }

  async #reopen(how: "close" | "crash" | "power"): Promise<void> {
    // Whatever is on its way to the dead letters is hit too.
    void this.#world.clock.advance(this.#world.random.below(3_000), () => this.#world.turns(1));
    await this.#world.turns(this.#world.random.below(40));
    if (how === "close") await this.#broker!.close();
    else this.#world.crash(how === "power");
    await this.#open();
  }

  /** Without consumers all that can expire does, and each is in one place. */
  async #end(): Promise<void> {
    this.#consumer?.consumer.close();
    await this.#pass(EXPIRY_MS_MAX + 1_000);
    const dead: string[] = [];
    const died = new Set<string>();
    for await (const { record, history } of this.#broker!.deadLetters.list()) {
      died.add(record.valueText());
      if (history.at(-1)!.reason === "expired") dead.push(record.valueText());
    }
    assert.equal(new Set(dead).size, dead.length, "none died twice");
    const left: string[] = [];
    for await (const { record } of this.#queue.browse()) left.push(record.valueText());
    for (const id of dead) {
      assert.notEqual(this.#known.get(id)!.expiresAtMs, 0, `${id} died without a time`);
      assert.ok(!left.includes(id), `${id} is in both places`);
    }
    for (const id of left) assert.equal(this.#known.get(id)!.expiresAtMs, 0, `${id} is left`);
    for (const [id, { isCommitted, mayBeGone }] of this.#known)
      if (isCommitted && !mayBeGone) assert.ok(died.has(id) || left.includes(id), `${id} is lost`);
    assert.equal(this.#queue.dispatcher.inFlight, 0);
    assert.equal(this.#queue.count, left.length);
    assert.deepEqual(this.#world.reported, []);
    await this.#broker!.close();
  }
}

const given = process.env["OMNIBUS_SEED"];
const seeds = given === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(given)];

test("over crashes and power failures, what expires leaves in time, once, and is never handed out after", async () => {
  for (const seed of seeds) {
    try {
      await new Run(seed).run();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});
