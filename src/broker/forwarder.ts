// Moves the messages of one queue to an exchange: each is appended where the exchange leads it and settled in the queue
// as one atomic step, so that a crash neither loses nor doubles it.

import { BrokerError, isBrokerError } from "../broker-error.js";
import type { Clock, Timer } from "../io/io.js";
import type { LogStore } from "../log/log-store.js";
import type { StoredRecord } from "../log/record.js";
import { appendHeaders, type Header } from "../log/record-headers.js";
import { type Appended, placeId } from "./appended.js";
import type { Consumer } from "./consumer.js";
import type { Delivery } from "./delivery.js";
import { handOver } from "./hand-over.js";
import {
  EXPIRES_AT_HEADER,
  FORWARDS_HEADER,
  ID_HEADER,
  type OutgoingMessage,
  priorityOf,
  SUBJECT_HEADER,
  timeHeader,
} from "./message.js";
import type { Queue } from "./queue.js";
import type { Routing } from "./routing.js";
import type { SettlementLog } from "./settlement-log.js";

/** Messages in flight between one queue and its exchange, at most. */
const IN_FLIGHT_MAX = 1024;
/** Bytes handed over before their commit is waited for, unless a single message has more. */
const STEP_BYTES = 8 * 1024 * 1024;
/** How often a message is forwarded at most: more can only be a circle. */
const FORWARDS_MAX = 16;
/** The first wait when a message cannot be taken, doubled for each further one up to the last. */
const PAUSE_MS = 10;
const PAUSE_MAX_MS = 1_000;
/** Leases are not what ends a step: longer than any commit takes. */
const LEASE_MS = 24 * 60 * 60 * 1000;

/** What a forward is declared with. */
export interface ForwardOptions {
  /** Where messages are published; empty is the bus itself. */
  readonly exchange: string;
  /** Under which subject. @default the message's own */
  readonly subject: string | undefined;
}

/** What forwarders are built on. */
export interface ForwarderParts {
  readonly clock: Clock;
  readonly store: LogStore;
  readonly settlements: SettlementLog;
  readonly routing: Routing;
  readonly onError: (error: unknown, where: string) => void;
}

export class Forwarder {
  readonly queue: Queue;
  readonly options: ForwardOptions;
  readonly #parts: ForwarderParts;
  readonly #waiting: Delivery[] = [];
  #consumer: Consumer | undefined = undefined;
  #running: Promise<void> | undefined = undefined;
  #pause: Timer | undefined = undefined;
  #pauseMs = PAUSE_MS;
  /** Whether `onError` has heard that messages cannot be taken, and none was since. */
  #isReported = false;
  #isClosed = false;

  constructor(queue: Queue, options: ForwardOptions, parts: ForwarderParts) {
    this.queue = queue;
    this.options = options;
    this.#parts = parts;
  }

  start(): void {
    if (this.#isClosed) return;
    this.#consumer = this.queue.dispatcher.addConsumer({
      name: "forward",
      prefetch: IN_FLIGHT_MAX,
      leaseMs: LEASE_MS,
      attemptsMax: Number.POSITIVE_INFINITY,
      // It never begins: a crash is no try of the message.
      startsExplicitly: true,
      // It leaves whenever it waits: that is no end of a queue that is deleted when its last consumer has left.
      isBrief: true,
      onDeliveries: (deliveries) => this.#take(deliveries),
    });
  }

  /** Takes no more. Resolves when nothing is under way; what was not handed over is given back. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pause?.cancel();
    await this.#running;
    this.#consumer?.close();
  }

  #take(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.#waiting.push(delivery);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** One step after the other, so that messages keep their order. Never rejects. */
  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      try {
        await this.#step();
        this.#pauseMs = PAUSE_MS;
        this.#isReported = false;
      } catch (error) {
        this.#waitAfter(error);
      }
    }
  }

  /** Hands over what waits, in order. Errors: what keeps a message from being taken for now. */
  async #step(): Promise<void> {
    const moves: Promise<void>[] = [];
    let problem: unknown;
    for (let bytes = 0; bytes < STEP_BYTES && problem === undefined; ) {
      const delivery = this.#waiting[0];
      if (delivery === undefined) break;
      try {
        moves.push(this.#move(delivery));
        this.#waiting.shift();
        bytes += delivery.record.sizeBytes;
      } catch (error) {
        problem = error;
      }
    }
    for (const move of await Promise.allSettled(moves))
      if (move.status === "rejected") problem ??= move.reason;
    if (problem !== undefined) throw problem;
  }

  /** Hands one message over before it returns, and resolves when that is stored. Errors: as {@link #step}. */
  #move(delivery: Delivery): Promise<void> {
    if (!delivery.isLeased) return Promise.resolve();
    try {
      return settleWhenCommitted(delivery, this.#handOver(delivery));
    } catch (error) {
      if (!isHopeless(error)) throw error;
      return delivery.deadLetter("unroutable", error.message);
    }
  }

  /** Errors: those of routing and of the destinations; then nothing has it. */
  #handOver({ record, state }: Delivery): readonly Appended[] {
    const { routing, store, settlements } = this.#parts;
    const message = this.#message(record, state.partition);
    const { destinations } = routing.route(message, this.options.exchange);
    const route = destinations.filter((destination) => destination !== this.queue);
    if (route.length === 0) throw this.#unroutable(message.subject);
    let appended: readonly Appended[] = [];
    store.atomically(() => {
      appended = handOver(store, route, message);
      settlements.appendSettled(state, record.offset);
    });
    return appended;
  }

  /** As it was sent, with its id and its subject written out. */
  #message(record: StoredRecord, partition: number | undefined): OutgoingMessage {
    const { name } = this.queue;
    const stored = record.header(SUBJECT_HEADER)?.toString("utf8");
    const subject = this.options.subject ?? stored ?? name;
    const forwards = Number(record.header(FORWARDS_HEADER)?.toString("latin1") ?? 0) + 1;
    if (!(forwards <= FORWARDS_MAX)) throw this.#circle(subject);
    const more: Header[] = [[FORWARDS_HEADER, String(forwards)]];
    if (stored !== subject) more.push([SUBJECT_HEADER, subject]);
    const id = record.header(ID_HEADER)?.toString("utf8") ?? placeId(name, partition, record.offset);
    if (record.header(ID_HEADER) === undefined) more.push([ID_HEADER, id]);
    return {
      subject,
      id,
      key: record.key,
      value: record.value,
      headers: appendHeaders(record.headersEncoded(), more),
      timestampMs: this.#parts.clock.nowMs(),
      expiresAtMs: timeHeader(record, EXPIRES_AT_HEADER),
      priority: priorityOf(record),
    };
  }

  /** Gives back what was not handed over and tries again later: in order, for nothing overtakes it meanwhile. */
  #waitAfter(error: unknown): void {
    this.#waiting.length = 0;
    this.#consumer?.close();
    this.#consumer = undefined;
    if (!this.#isReported && !isBrokerError(error, "QUEUE_FULL"))
      this.#parts.onError(error, `forwarding queue ${this.queue.name}`);
    this.#isReported = true;
    if (this.#isClosed) return;
    this.#pause = this.#parts.clock.setTimer(() => this.start(), this.#pauseMs, true);
    this.#pauseMs = Math.min(PAUSE_MAX_MS, this.#pauseMs * 2);
  }

  #unroutable(subject: string): BrokerError {
    const { queue } = this;
    const { exchange } = this.options;
    return new BrokerError(
      "UNROUTABLE",
      `Queue ${queue.name} forwards to ${exchange === "" ? "the bus" : `exchange ${exchange}`}, where nothing else is bound that the subject ${subject} leads to.`,
      { queue: queue.name, exchange, subject },
    );
  }

  #circle(subject: string): BrokerError {
    return new BrokerError(
      "UNROUTABLE",
      `The message was forwarded ${FORWARDS_MAX} times: bindings and forwards lead in a circle.`,
      { queue: this.queue.name, subject },
    );
  }
}

async function settleWhenCommitted(delivery: Delivery, appended: readonly Appended[]): Promise<void> {
  for (const { committed } of appended) await committed;
  if (delivery.isLeased) delivery.ack();
}

/** Whether trying again would not help. */
function isHopeless(error: unknown): error is BrokerError {
  return (
    isBrokerError(error, "UNROUTABLE") ||
    isBrokerError(error, "MESSAGE_TOO_LARGE") ||
    isBrokerError(error, "INVALID_SUBJECT")
  );
}
