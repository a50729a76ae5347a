// All handlers of one queue or group: they share one consumer, and each message goes to the handler of its subject.

import { SUBJECT_HEADER } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import type { EngineConsumer, EngineDelivery, EngineSource } from "../engines/engine.js";
import { DueTimer } from "../io/due-timer.js";
import type { Clock } from "../io/io.js";
import type { Answers } from "./answers.js";
import type { ConsumerSettings } from "./consumer-options.js";
import type { LoopWatch } from "./loop-watch.js";
import type { Registration } from "./registration.js";
import type { Reporter } from "./reporter.js";

export interface ConsumptionTarget {
  /**
   * What becomes of a message that no handler here is for: a command of a queue is dead-lettered; an event is held, for
   * its group has subscribed to it.
   */
  readonly kind: "queue" | "group";
  /** The queue, or `topic/group`. */
  readonly name: string;
  /** The queue or topic: where messages say they come from, and what those are about that name no subject. */
  readonly source: string;
  /** The consumer that these handlers share; undefined for the one of all that name none. */
  readonly consumer?: string | undefined;
}

/** How long a message is held before it is looked at again. */
const HOLD_MS = 5_000;

export class Consumption {
  readonly target: ConsumptionTarget;
  readonly #clock: Clock;
  readonly #loop: LoopWatch;
  readonly #answers: Answers;
  readonly #onError: Reporter;
  readonly #onEnded: () => void;
  readonly #registrations = new Set<Registration>();
  /** Who hears of partitions: the last handler does when its consumer has gone, too. */
  readonly #listeners = new Set<ConsumerSettings>();
  readonly #bySubject = new Map<string, Registration>();
  /** The one handler that takes messages of every subject. */
  #forAll: Registration | undefined = undefined;
  readonly #renewal: DueTimer;
  /** Subjects whose handler was closed while others go on. */
  readonly #closed = new Set<string>();
  /** Subjects whose messages are held for want of a handler, as was reported. */
  readonly #held = new Set<string>();
  readonly #burying = new Set<Promise<void>>();
  #consumer: EngineConsumer | undefined = undefined;
  /** Those that take nothing more, while calls with what they have still run. */
  readonly #leaving = new Set<EngineConsumer>();
  #source: EngineSource | undefined = undefined;
  #isEnded = false;

  /** `onEnded` runs when there is nothing to receive from any more, because it was deleted. */
  constructor(
    target: ConsumptionTarget,
    clock: Clock,
    loop: LoopWatch,
    answers: Answers,
    onError: Reporter,
    onEnded: () => void,
  ) {
    this.#onEnded = onEnded;
    this.target = target;
    this.#clock = clock;
    this.#loop = loop;
    this.#answers = answers;
    this.#onError = onError;
    this.#renewal = new DueTimer(clock, () => this.#renew());
  }

  get isEmpty(): boolean {
    return this.#registrations.size === 0;
  }

  /** Whether it has messages that are not settled. */
  get isHandling(): boolean {
    if (this.#consumer !== undefined && this.#consumer.inFlight > 0) return true;
    for (const { inFlight } of this.#leaving) if (inFlight > 0) return true;
    return false;
  }

  /** Errors: DUPLICATE_HANDLER. */
  add(registration: Registration): void {
    const { subject } = registration.reading;
    this.#assertFree(subject);
    this.#registrations.add(registration);
    this.#listeners.add(registration.settings.consumer);
    if (subject === undefined) {
      this.#forAll = registration;
    } else {
      this.#bySubject.set(subject, registration);
      this.#closed.delete(subject);
      this.#held.delete(subject);
    }
    if (this.#source !== undefined) this.#consume(this.#source);
  }

  /** Begins to receive, or goes on with what is registered now. */
  start(source: EngineSource): void {
    this.#source = source;
    this.#consume(source);
  }

  /** Takes no more messages, waits for the handlers that run, and gives back the rest. */
  async drain(): Promise<void> {
    this.#isEnded = true;
    this.#consumer?.stop();
    for (const registration of this.#registrations) registration.stop();
    await Promise.all([...this.#registrations].map((registration) => registration.idle()));
    await Promise.all(this.#burying);
    this.#end();
  }

  /** Gives back everything at once: what handlers do from now on is in vain. */
  abandon(reason: unknown): void {
    this.#isEnded = true;
    for (const registration of this.#registrations) {
      registration.stop();
      registration.abandon(reason);
    }
    this.#end();
  }

  /** Ends one handler. While others go on, its messages are held for one that takes its place. */
  async remove(registration: Registration): Promise<void> {
    if (this.#isLast(registration)) this.#leave();
    registration.stop();
    await registration.idle();
    if (!this.#registrations.delete(registration)) return;
    const { subject } = registration.reading;
    if (subject === undefined) {
      this.#forAll = undefined;
    } else {
      this.#bySubject.delete(subject);
      this.#closed.add(subject);
    }
    if (!this.isEmpty) this.#listeners.delete(registration.settings.consumer);
    for (const consumer of this.#leaving) if (consumer.inFlight === 0) this.#leaving.delete(consumer);
    if (this.isEmpty) this.#end();
    else if (this.#source !== undefined) this.#consume(this.#source);
  }

  /** Whether no other handler takes messages. */
  #isLast(registration: Registration): boolean {
    for (const other of this.#registrations) if (other !== registration && !other.isStopped) return false;
    return true;
  }

  /** What is given back from here on waits for another consumer, in its turn, rather than to be refused and held. */
  #leave(): void {
    if (this.#consumer === undefined) return;
    this.#consumer.stop();
    this.#leaving.add(this.#consumer);
    this.#consumer = undefined;
  }

  #assertFree(subject: string | undefined): void {
    const { name } = this.target;
    if (subject === undefined ? this.isEmpty : !this.#bySubject.has(subject) && this.#forAll === undefined)
      return;
    const what = subject === undefined || this.#forAll !== undefined ? "every message" : subject;
    throw new BrokerError(
      "DUPLICATE_HANDLER",
      `There is a handler of ${what} for ${name} on this bus already. To handle more messages at the same time, raise its concurrency; to handle each message twice, use another group.`,
      { subject, source: name },
    );
  }

  #consume(source: EngineSource): void {
    if (this.#isEnded || this.isEmpty) return;
    let prefetch = 0;
    let prefetchBytes = 0;
    let attemptsMax = 0;
    let priority = Number.NEGATIVE_INFINITY;
    let leaseMs = Number.POSITIVE_INFINITY;
    for (const { settings } of this.#registrations) {
      settings.retries.attemptsDefault = source.attemptsMax;
      prefetch += settings.prefetch;
      prefetchBytes += settings.prefetchBytes;
      attemptsMax = Math.max(attemptsMax, settings.retries.attemptsMax);
      leaseMs = Math.min(leaseMs, settings.leaseMs);
      priority = Math.max(priority, settings.consumer.priority);
      if (settings.isOrderedByKey) source.orderByKey();
    }
    if (this.#consumer !== undefined) {
      this.#consumer.setAttemptsMax(attemptsMax);
      this.#consumer.setPrefetch(prefetch, prefetchBytes);
      return;
    }
    const onDeliveries = (deliveries: EngineDelivery[]): void => this.#dispatch(deliveries);
    this.#consumer = source.addConsumer({
      name: this.target.consumer ?? this.target.name,
      priority,
      onAssigned: (partitions) => this.#tell("onAssigned", partitions),
      onRevoked: (partitions) => this.#tell("onRevoked", partitions),
      prefetch,
      prefetchBytes,
      leaseMs,
      attemptsMax,
      startsExplicitly: true,
      onEnded: (reason) => this.#sourceEnded(reason),
      onDeliveries,
    });
  }

  #tell(listener: "onAssigned" | "onRevoked", partitions: readonly number[]): void {
    for (const settings of this.#listeners) {
      try {
        settings[listener]?.(partitions);
      } catch (error) {
        this.#onError(error, `${listener} of a handler of ${this.target.name}`);
      }
    }
  }

  /** Hot: one call for all messages that were handed over in a turn. */
  #dispatch(deliveries: EngineDelivery[]): void {
    this.#armRenewal();
    this.#loop.watch();
    for (const delivery of deliveries) {
      const registration = this.#forAll ?? this.#registrationFor(delivery);
      if (registration !== undefined) registration.accept(delivery);
    }
    for (const registration of this.#registrations) registration.run();
  }

  #registrationFor(delivery: EngineDelivery): Registration | undefined {
    const subject = delivery.record.header(SUBJECT_HEADER)?.toString("utf8") ?? this.target.source;
    const registration = this.#bySubject.get(subject);
    if (registration !== undefined && !registration.isStopped) return registration;
    this.#refuse(delivery, subject, registration);
    return undefined;
  }

  #refuse(delivery: EngineDelivery, subject: string, closing: Registration | undefined): void {
    if (closing !== undefined || this.target.kind === "group" || this.#closed.has(subject)) {
      delivery.release(HOLD_MS);
      if (closing === undefined) this.#reportHeld(subject);
      return;
    }
    const { name } = this.target;
    const error = `no handler of this process is for '${subject}' in ${name}`;
    this.#answers.failed(delivery.record, name, error);
    const burying = delivery
      .deadLetter("unknown-type", error)
      .catch((error: unknown) => this.#onError(error, `dead-lettering a message of ${name}`))
      .finally(() => this.#burying.delete(burying));
    this.#burying.add(burying);
  }

  /** The group asked for this subject, in an earlier run or from another part of the program: its messages are not given up. */
  #reportHeld(subject: string): void {
    if (this.#held.has(subject)) return;
    this.#held.add(subject);
    const { kind, name } = this.target;
    const remedy =
      kind === "queue" ? "Register one with handle()" : "Register one with on(), or use another group";
    const error = new BrokerError(
      "NO_HANDLER",
      `Messages of ${subject} wait: ${name} is to receive them, and this process has no handler for them. ${remedy}.`,
      { subject, source: name },
    );
    this.#onError(error, `receiving for ${name}`);
  }

  /** This process is alive: what it holds stays with it. */
  #renew(): void {
    if (!this.isHandling) return;
    this.#consumer?.renewAll();
    for (const consumer of this.#leaving) consumer.renewAll();
    this.#armRenewal();
  }

  /** Hot. */
  #armRenewal(): void {
    let leaseMs = Number.POSITIVE_INFINITY;
    for (const { settings } of this.#registrations) leaseMs = Math.min(leaseMs, settings.leaseMs);
    this.#renewal.armAt(this.#clock.monotonicMs() + leaseMs / 3);
  }

  /** The queue or group was deleted: calls that run do so in vain. */
  #sourceEnded(reason: BrokerError): void {
    this.#isEnded = true;
    this.#end();
    for (const registration of this.#registrations) registration.stop();
    this.#onError(reason, `receiving for ${this.target.name}`);
    this.#onEnded();
  }

  #end(): void {
    this.#renewal.cancel();
    this.#leave();
    for (const consumer of this.#leaving) consumer.close();
    this.#leaving.clear();
  }
}
