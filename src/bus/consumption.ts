// All handlers of one queue or group: they share one consumer, and each message goes to the handler of its subject.

import { SUBJECT_HEADER } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import type { EngineConsumer, EngineDelivery, EngineSource } from "../engines/engine.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { Registration } from "./registration.js";

/** What becomes of a message that is wanted and that no handler here is for. */
export type UnknownPolicy = "dead-letter" | "hold";

/** How long a message is held before it is looked at again. */
const HOLD_MS = 5_000;

export class Consumption {
  readonly #name: string;
  readonly #queueSubject: string;
  readonly #unknown: UnknownPolicy;
  readonly #clock: Clock;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #registrations = new Map<string, Registration>();
  readonly #renewal: DueTimer;
  /** Subjects whose messages are held for want of a handler. */
  readonly #held = new Set<string>();
  #consumer: EngineConsumer | undefined = undefined;
  #source: EngineSource | undefined = undefined;

  /** `queueSubject` is what messages without a stored subject are about: the name of their queue. */
  constructor(
    name: string,
    queueSubject: string,
    unknown: UnknownPolicy,
    clock: Clock,
    onError: (error: unknown, where: string) => void,
  ) {
    this.#name = name;
    this.#queueSubject = queueSubject;
    this.#unknown = unknown;
    this.#clock = clock;
    this.#onError = onError;
    this.#renewal = new DueTimer(clock, () => this.#renew());
  }

  get isEmpty(): boolean {
    return this.#registrations.size === 0;
  }

  get running(): number {
    let running = 0;
    for (const registration of this.#registrations.values()) running += registration.running;
    return running;
  }

  /** Errors: DUPLICATE_HANDLER. */
  add(registration: Registration): void {
    const subject = registration.type.name;
    if (this.#registrations.has(subject)) {
      throw new BrokerError(
        "DUPLICATE_HANDLER",
        `There is a handler of ${subject} for ${this.#name} on this bus already. To handle more messages at the same time, raise its concurrency; to handle each message twice, use another group.`,
        { subject, source: this.#name },
      );
    }
    this.#registrations.set(subject, registration);
    if (this.#source !== undefined) this.#consume(this.#source);
  }

  /** Begins to receive, or goes on with what is registered now. */
  start(source: EngineSource): void {
    this.#source = source;
    this.#consume(source);
  }

  /** Takes no more messages, waits for the handlers that run, and gives back the rest. */
  async drain(): Promise<void> {
    this.#consumer?.stop();
    for (const registration of this.#registrations.values()) registration.stop();
    await Promise.all([...this.#registrations.values()].map((registration) => registration.idle()));
    this.#end();
  }

  /** Gives back everything at once: what handlers do from now on is in vain. */
  abandon(reason: unknown): void {
    for (const registration of this.#registrations.values()) {
      registration.stop();
      registration.abandon(reason);
    }
    this.#end();
  }

  async remove(registration: Registration): Promise<void> {
    registration.stop();
    await registration.idle();
    this.#registrations.delete(registration.type.name);
    if (this.isEmpty) this.#end();
    else if (this.#source !== undefined) this.#consume(this.#source);
  }

  #consume(source: EngineSource): void {
    const registrations = [...this.#registrations.values()];
    if (registrations.length === 0) return;
    const prefetch = registrations.reduce((sum, { settings }) => sum + settings.prefetch, 0);
    if (registrations.some(({ settings }) => settings.isOrderedByKey)) source.orderByKey();
    if (this.#consumer !== undefined) {
      this.#consumer.setPrefetch(prefetch);
      return;
    }
    const leaseMs = Math.min(...registrations.map(({ settings }) => settings.leaseMs));
    this.#consumer = source.addConsumer({
      name: this.#name,
      prefetch,
      leaseMs,
      attemptsMax: Math.max(...registrations.map(({ settings }) => settings.retries.attemptsMax)),
      onDeliveries: (deliveries) => this.#dispatch(deliveries),
    });
    this.#renewal.armAt(this.#clock.monotonicMs() + leaseMs / 3);
  }

  /** Hot: one call for all messages that were handed over in a turn. */
  #dispatch(deliveries: EngineDelivery[]): void {
    const only = this.#registrations.size === 1 ? this.#registrations.values().next().value : undefined;
    for (const delivery of deliveries) {
      const subject = delivery.record.header(SUBJECT_HEADER)?.toString("utf8") ?? this.#queueSubject;
      const registration =
        only !== undefined && only.type.name === subject ? only : this.#registrations.get(subject);
      if (registration === undefined) this.#refuse(delivery, subject);
      else registration.accept(delivery);
    }
    for (const registration of this.#registrations.values()) registration.run();
  }

  #refuse(delivery: EngineDelivery, subject: string): void {
    if (this.#unknown === "hold") {
      delivery.release(HOLD_MS);
      this.#reportHeld(subject);
      return;
    }
    delivery
      .deadLetter("unknown-type", `no handler of this process is for '${subject}' in ${this.#name}`)
      .catch((error: unknown) => this.#onError(error, `dead-lettering a message of ${this.#name}`));
  }

  /** The group asked for this subject, in an earlier run or from another part of the program: its messages are not given up. */
  #reportHeld(subject: string): void {
    if (this.#held.has(subject)) return;
    this.#held.add(subject);
    const error = new BrokerError(
      "NO_HANDLER",
      `Messages of ${subject} wait: ${this.#name} subscribed to them, and this process has no handler for them. Register one with on(), or use another group.`,
      { subject, source: this.#name },
    );
    this.#onError(error, `receiving for ${this.#name}`);
  }

  /** This process is alive: what it holds stays with it. */
  #renew(): void {
    if (this.#consumer === undefined) return;
    this.#consumer.renewAll();
    const leaseMs = Math.min(...[...this.#registrations.values()].map(({ settings }) => settings.leaseMs));
    this.#renewal.armAt(this.#clock.monotonicMs() + leaseMs / 3);
  }

  #end(): void {
    this.#renewal.cancel();
    this.#consumer?.close();
    this.#consumer = undefined;
  }
}
