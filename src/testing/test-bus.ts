// A bus that keeps what went over it, and whose time the test sets.

import { BusCodecs } from "../bus/decoding.js";
import { type Duration, toMs } from "../bus/duration.js";
import { guardedReporter, type Reporter } from "../bus/reporter.js";
import { type EmbeddedEngine, memory } from "../engines/embedded.js";
import {
  Bus,
  type BusOptions,
  type CommandType,
  type EmbeddedCapabilities,
  type EventType,
  type Receipt,
} from "../index.js";
import { systemIo } from "../io/system-io.js";
import { VirtualClock } from "./virtual-clock.js";

/** How long {@link TestBus.settled} waits, in real time. */
const SETTLE_WAIT_MS = 5_000;
/** How long {@link TestBus.advance} waits for handlers that do not come to an end, in real time. */
const CALM_WAIT_MS = 100;
/** How many turns in a row nothing happens when nothing is left to do. */
const QUIET_TURNS = 3;
/** How long {@link TestBus.close} waits for handlers, in real time; then that of the bus passes at once. */
const CLOSE_WAIT_REAL_MS = 1_000;
const CLOSE_WAIT_MS = 10_000;

/** A message that was published or sent, in the order in which it was taken. */
export interface RecordedMessage<In = unknown> {
  readonly type: EventType<In, unknown> | CommandType<In, unknown>;
  readonly value: In;
  readonly receipt: Receipt;
}

/** An error that no caller waited for. */
export interface ReportedError {
  readonly error: unknown;
  readonly where: string;
}

export class TestBus extends Bus<EmbeddedCapabilities> {
  readonly clock: VirtualClock;
  /** Everything that was published, sent and requested on this bus, by the test and by handlers: events and commands, not bodies without a type. */
  readonly recorded: RecordedMessage[] = [];
  /** What `onError` heard. */
  readonly errors: readonly ReportedError[];
  /** How far handlers had come when they were last given up waiting for. */
  #stuckAt = "";

  constructor(
    engine: EmbeddedEngine,
    clock: VirtualClock,
    errors: ReportedError[],
    onError: Reporter,
    codecs: BusCodecs,
  ) {
    super(engine, onError, codecs);
    this.clock = clock;
    this.errors = errors;
    // What handlers and transactions send as one has no receipts here, and is heard of when it is stored.
    this.onSent((type, value, receipt) => this.recorded.push({ type, value, receipt }));
    this.use({
      publish: async ({ type, messages }, next) => {
        const receipts = await next();
        if (type === undefined) return;
        for (const [index, receipt] of receipts.entries())
          this.recorded.push({ type, value: messages[index]!.value, receipt });
      },
    });
  }

  /** The payloads of one type that went over this bus, in order. */
  valuesOf<In, Out>(type: EventType<In, Out> | CommandType<In, Out>): In[] {
    return this.recorded
      .filter((message) => (message.type as unknown) === type)
      .map(({ value }) => value as In);
  }

  /**
   * Resolves when everything that is ready has been handled, and all that this led to. What waits for a later time
   * stays: see {@link advance}. Rejects after 5 seconds of real time, naming who is still busy.
   */
  async settled(): Promise<void> {
    const untilMs = systemIo.clock.monotonicMs() + SETTLE_WAIT_MS;
    for (let quietTurns = 0; quietTurns < QUIET_TURNS; ) {
      quietTurns = (await this.#isQuiet()) ? quietTurns + 1 : 0;
      if (systemIo.clock.monotonicMs() > untilMs)
        throw new Error(`the bus did not settle within ${SETTLE_WAIT_MS} ms; still busy: ${this.#busy()}`);
    }
  }

  /**
   * Lets time pass: every timer within it runs when it is due, and what becomes ready by it is handled. Handlers that
   * do not come to an end, in a tenth of a second of real time, are left to themselves: time passes for them too.
   */
  async advance(duration: Duration): Promise<void> {
    const durationMs = toMs("duration", duration);
    await this.#calm();
    await this.clock.advance(durationMs, () => this.#calm());
    await this.#calm();
  }

  /** As that of any bus. For handlers that do not end, the 10 seconds that it waits pass within a second of real time. */
  override async close(): Promise<void> {
    const closed = super.close();
    const letTimePass = () => {
      // It rejects only if a timer's action throws, and that would be told by `closed`.
      this.clock.advance(CLOSE_WAIT_MS, turn).catch(() => undefined);
    };
    const timer = systemIo.clock.setTimer(letTimePass, CLOSE_WAIT_REAL_MS);
    await closed.finally(() => timer.cancel());
  }

  /** Whether nothing was left to do after this turn. */
  async #isQuiet(): Promise<boolean> {
    await this.engine.broker.flush();
    await turn();
    return this.engine.broker.isIdle && !this.isBusy;
  }

  /** Like {@link settled}, but handlers that make no progress are waited for once only. */
  async #calm(): Promise<void> {
    const untilMs = systemIo.clock.monotonicMs() + CALM_WAIT_MS;
    let quietTurns = 0;
    for (let turns = 0; quietTurns < QUIET_TURNS; turns += 1) {
      quietTurns = (await this.#isQuiet()) ? quietTurns + 1 : 0;
      if (quietTurns > 0 || turns < 10) continue;
      const progress = this.#progress();
      const isLate = systemIo.clock.monotonicMs() > untilMs;
      if (!isLate && progress !== this.#stuckAt) continue;
      this.#stuckAt = progress;
      return;
    }
  }

  #progress(): string {
    const { queues, topics } = this.statistics();
    const counted = [...queues, ...topics.flatMap(({ groups }) => groups)];
    return counted.map(({ delivered, settled }) => `${delivered}:${settled}`).join();
  }

  #busy(): string {
    const { queues, topics } = this.statistics();
    const names = queues
      .filter(({ inFlight }) => inFlight > 0)
      .map(({ name, inFlight }) => `${name} (${inFlight} in flight)`);
    for (const { name, groups } of topics) {
      for (const group of groups)
        if (group.inFlight > 0) names.push(`${name}/${group.name} (${group.inFlight} in flight)`);
    }
    return names.join(", ") || "messages that are ready and not taken";
  }
}

/**
 * Opens a bus in memory under a virtual clock.
 *
 * @example
 * const bus = await openTestBus();
 * registerHandlers(bus);
 * await bus.publish(OrderPlaced, { id: "o-1" });
 * await bus.settled();
 * assert.deepEqual(bus.valuesOf(ReserveStock), [{ orderId: "o-1" }]);
 */
export async function openTestBus(
  options: BusOptions & { readonly startMs?: number } = {},
): Promise<TestBus> {
  const clock = new VirtualClock(options.startMs);
  const errors: ReportedError[] = [];
  const onError = guardedReporter((error, where) => {
    errors.push({ error, where });
    options.onError?.(error, where);
  });
  const codecs = new BusCodecs(options.codecs);
  const engine = await memory({ io: { ...systemIo, clock } }).open(onError);
  return new TestBus(engine, clock, errors, onError, codecs);
}

function turn(): Promise<void> {
  return new Promise((resolve) => systemIo.clock.defer(resolve));
}
