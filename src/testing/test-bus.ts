// A bus that keeps what went over it, and whose time the test sets.

import { type Duration, toMs } from "../bus/duration.js";
import { type EmbeddedEngine, memory } from "../engines/embedded.js";
import {
  Bus,
  type CommandType,
  type EmbeddedCapabilities,
  type EventType,
  type PublishOptions,
  type Receipt,
} from "../index.js";
import { systemIo } from "../io/system-io.js";
import { VirtualClock } from "./virtual-clock.js";

/** How long {@link TestBus.settled} waits, in real time. */
const SETTLE_WAIT_MS = 5_000;

/** A message that was published or sent, in the order in which it was taken. */
export interface RecordedMessage<In = unknown> {
  readonly type: EventType<In, unknown> | CommandType<In, unknown>;
  readonly value: In;
  readonly receipt: Receipt;
}

export class TestBus extends Bus<EmbeddedCapabilities> {
  readonly clock: VirtualClock;
  /** Everything that was published and sent on this bus, by the test and by handlers. */
  readonly recorded: RecordedMessage[] = [];

  constructor(engine: EmbeddedEngine, clock: VirtualClock, onError: (error: unknown, where: string) => void) {
    super(engine, onError);
    this.clock = clock;
  }

  override async publish<In, Out>(
    event: EventType<In, Out>,
    value: NoInfer<In>,
    options?: PublishOptions<EmbeddedCapabilities>,
  ): Promise<Receipt> {
    return this.#record(event, value, await super.publish(event, value, options));
  }

  override async publishMany<In, Out>(
    event: EventType<In, Out>,
    values: readonly NoInfer<In>[],
    options?: PublishOptions<EmbeddedCapabilities>,
  ): Promise<Receipt[]> {
    const receipts = await super.publishMany(event, values, options);
    return receipts.map((receipt, index) => this.#record(event, values[index]!, receipt));
  }

  override async send<In, Out>(
    command: CommandType<In, Out>,
    value: NoInfer<In>,
    options?: PublishOptions<EmbeddedCapabilities>,
  ): Promise<Receipt> {
    return this.#record(command, value, await super.send(command, value, options));
  }

  override async sendMany<In, Out>(
    command: CommandType<In, Out>,
    values: readonly NoInfer<In>[],
    options?: PublishOptions<EmbeddedCapabilities>,
  ): Promise<Receipt[]> {
    const receipts = await super.sendMany(command, values, options);
    return receipts.map((receipt, index) => this.#record(command, values[index]!, receipt));
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
    for (let quietTurns = 0; quietTurns < 3; ) {
      await this.engine.broker.flush();
      await turn();
      quietTurns = this.engine.broker.isIdle ? quietTurns + 1 : 0;
      if (systemIo.clock.monotonicMs() > untilMs)
        throw new Error(`the bus did not settle within ${SETTLE_WAIT_MS} ms; still busy: ${this.#busy()}`);
    }
  }

  /** Lets time pass: every timer within it runs when it is due, and what becomes ready by it is handled. */
  async advance(duration: Duration): Promise<void> {
    await this.settled();
    await this.clock.advance(toMs("duration", duration), () => this.settled());
    await this.settled();
  }

  #record<In>(
    type: EventType<In, never> | CommandType<In, never> | EventType<In, unknown> | CommandType<In, unknown>,
    value: In,
    receipt: Receipt,
  ): Receipt {
    this.recorded.push({ type, value, receipt } as RecordedMessage);
    return receipt;
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
  options: { readonly startMs?: number; readonly onError?: (error: unknown, where: string) => void } = {},
): Promise<TestBus> {
  const clock = new VirtualClock(options.startMs);
  const onError = options.onError ?? (() => undefined);
  const engine = await memory({ io: { ...systemIo, clock } }).open(onError);
  return new TestBus(engine, clock, onError);
}

function turn(): Promise<void> {
  return new Promise((resolve) => systemIo.clock.defer(resolve));
}
