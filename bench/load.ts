// The load: producers and consumers of one row. First it publishes alone, as fast as confirmations come back; then it
// consumes that backlog; then both run in a closed loop with at most `depth` messages per queue that were published
// but not yet handled and acknowledged. Every message is accounted for, or the row is an error and not a number.

import type { BenchEngine, DeliverySink, EngineSession } from "./engines/engine.js";
import { Lane } from "./lane.js";
import { MeasuredWindow, type Timing } from "./measured-window.js";

export interface LoadResult {
  readonly publishedPerSecond: number;
  readonly handledPerSecond: number;
  /** From the call of publish to the handler, in the closed loop. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const STALL_MS = 30_000;
/** Publishing alone stops here even before its time: the backlog has to be consumed again. */
const BACKLOG_MAX = 3_000_000;

export class Load implements DeliverySink {
  readonly #engine: BenchEngine;
  readonly #session: EngineSession;
  readonly #lanes: Lane[] = [];
  readonly #depth: number;
  readonly #stallMs: number;
  readonly #batch: number;
  /** One latency in so many is kept, so that keeping them does not become the load. */
  readonly #sampleMask: number;
  readonly #latenciesMs: number[] = [];
  #window: MeasuredWindow | undefined;
  #isConsuming = false;
  #durable = 0;
  #acked = 0;
  #pendingPublishes = 0;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  /** `depth` is per queue. An engine that makes no progress for `stallMs` has lost something. */
  constructor(
    engine: BenchEngine,
    session: EngineSession,
    queues: number,
    depth: number,
    stallMs = STALL_MS,
  ) {
    this.#engine = engine;
    this.#stallMs = stallMs;
    this.#session = session;
    this.#depth = depth;
    this.#batch = Math.min(depth, engine.publishBatch(depth));
    this.#sampleMask = queues * depth >= 100 ? 7 : 0;
    for (let queue = 0; queue < queues; queue++) this.#lanes.push(new Lane(queue, depth));
  }

  async run(timing: Timing): Promise<LoadResult> {
    const publishing = this.#engine.hasPublishPhase ? await this.#publishAlone(timing) : undefined;
    this.#isConsuming = true;
    await this.#session.consume(this);
    await this.#until(() => this.#outstanding === 0);
    const loop = await this.#closedLoop(timing);
    this.#assertAllHandled();
    this.#latenciesMs.sort((a, b) => a - b);
    return {
      publishedPerSecond: (publishing ?? loop).perSecond,
      handledPerSecond: loop.perSecond,
      p50Ms: percentile(this.#latenciesMs, 0.5),
      p99Ms: percentile(this.#latenciesMs, 0.99),
    };
  }

  handled(queue: number, message: number): void {
    const lane = this.#lanes[queue]!;
    const complaint = lane.handle(message);
    if (complaint !== undefined) this.failed(new Error(`queue ${queue}: ${complaint}`));
    if ((message & this.#sampleMask) !== 0 || this.#window?.isOpen !== true) return;
    this.#latenciesMs.push(performance.now() - lane.publishedAtMs(message));
  }

  acked(queue: number, count: number): void {
    const lane = this.#lanes[queue]!;
    lane.acked += count;
    this.#acked += count;
    this.#window?.advance(performance.now(), this.#acked);
    this.#release(lane, count);
  }

  failed(error: unknown): void {
    if (this.#error !== undefined) return;
    const message = error instanceof Error ? error.message : String(error);
    this.#error = new Error(`${this.#engine.name}: ${message}`, { cause: error });
    this.#wake?.();
  }

  get #outstanding(): number {
    let outstanding = this.#pendingPublishes;
    for (const lane of this.#lanes) outstanding += lane.published - lane.acked;
    return outstanding;
  }

  async #publishAlone(timing: Timing): Promise<MeasuredWindow> {
    const window = this.#openWindow(timing);
    await this.#until(() => window.isClosed && this.#pendingPublishes === 0);
    this.#window = undefined;
    return window;
  }

  async #closedLoop(timing: Timing): Promise<MeasuredWindow> {
    for (const lane of this.#lanes) lane.credits = this.#depth;
    const window = this.#openWindow(timing);
    await this.#until(() => window.isClosed && this.#outstanding === 0);
    return window;
  }

  #openWindow(timing: Timing): MeasuredWindow {
    const window = new MeasuredWindow(performance.now(), timing);
    this.#window = window;
    for (const lane of this.#lanes) this.#release(lane, 0);
    return window;
  }

  /** Hot: gives credits back and publishes with them while the window lasts. */
  #release(lane: Lane, count: number): void {
    lane.credits += count;
    if (this.#window === undefined || this.#window.isClosed || this.#error !== undefined) {
      this.#wake?.();
      return;
    }
    while (lane.credits >= this.#batch) this.#publish(lane);
  }

  #publish(lane: Lane): void {
    const count = this.#batch;
    const first = lane.publish(count, performance.now());
    this.#pendingPublishes += 1;
    this.#session.publish(lane.queue, first, count).then(
      () => this.#published(lane, count),
      (error) => this.failed(error),
    );
  }

  #published(lane: Lane, count: number): void {
    this.#pendingPublishes -= 1;
    this.#durable += count;
    if (this.#isConsuming) this.#wake?.();
    else this.#publishedAlone(lane, count);
  }

  #publishedAlone(lane: Lane, count: number): void {
    const window = this.#window;
    const nowMs = performance.now();
    if (window?.isOpen && this.#durable >= BACKLOG_MAX) window.close(nowMs, this.#durable);
    else window?.advance(nowMs, this.#durable);
    this.#release(lane, count);
  }

  /** Resolves once `isReached`, asked after each step of progress; rejects when the engine broke or stalled. */
  async #until(isReached: () => boolean): Promise<void> {
    let seenProgress = -1;
    const watchdog = setInterval(() => {
      if (seenProgress === this.#durable + this.#acked) this.failed(new Error(this.#describeStall()));
      seenProgress = this.#durable + this.#acked;
    }, this.#stallMs);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#wake = () => {
          if (this.#error !== undefined) reject(this.#error);
          else if (isReached()) resolve();
        };
        this.#wake();
      });
    } finally {
      this.#wake = undefined;
      clearInterval(watchdog);
    }
  }

  #describeStall(): string {
    let published = 0;
    let handled = 0;
    for (const lane of this.#lanes) {
      published += lane.published;
      handled += lane.handled;
    }
    const counts = `${published} published, ${this.#durable} of them confirmed, ${handled} handled, ${this.#acked} acknowledged`;
    return `nothing moved for ${this.#stallMs} ms: ${counts}`;
  }

  #assertAllHandled(): void {
    for (const lane of this.#lanes) {
      if (lane.handled === lane.published) continue;
      throw new Error(
        `${this.#engine.name}: queue ${lane.queue} handled ${lane.handled} of ${lane.published} messages`,
      );
    }
  }
}

function percentile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}
