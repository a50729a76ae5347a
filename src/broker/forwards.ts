// Forwards: queues whose messages the broker itself moves on to an exchange. Declaring, storing and opening them.

import { BUS_EXCHANGE } from "./binding.js";
import type { Catalog, ForwardDefinition } from "./catalog.js";
import { assertSame, given } from "./declared-options.js";
import { Forwarder, type ForwarderParts, type ForwardOptions } from "./forwarder.js";
import type { NamedTurns } from "./named-turns.js";
import { assertName } from "./names.js";
import type { Queue } from "./queue.js";
import { assertPublishable } from "./subject.js";

/** A queue, and where its messages are moved to. */
export interface Forward extends Partial<ForwardOptions> {
  readonly queue: string;
}

/** What forwards are built on. */
export interface ForwardsParts extends ForwarderParts {
  readonly catalog: Catalog;
  readonly readOnly: boolean;
  /** One change at a time of what has such a key; a queue's is `queue/name`. */
  readonly turns: NamedTurns;
  /** Errors: QUEUE_NOT_FOUND, those of a queue that could not be opened. */
  readonly queue: (name: string) => Queue;
}

export class Forwards {
  readonly #parts: ForwardsParts;
  readonly #forwarders = new Map<string, Forwarder>();
  #isStarted = false;

  constructor(parts: ForwardsParts) {
    this.#parts = parts;
  }

  get all(): Forward[] {
    return this.#parts.catalog.forwards.map(({ kind: _, ...forward }) => forward);
  }

  /**
   * Moves every message of the queue on from now on, durably. Errors: QUEUE_NOT_FOUND, EXCHANGE_NOT_FOUND,
   * INVALID_SUBJECT, FORWARD_MISMATCH.
   */
  async declare(queueName: string, options: Partial<ForwardOptions>): Promise<void> {
    assertName("queue", queueName);
    const asked = given(options);
    if (asked.subject !== undefined) assertPublishable(asked.subject);
    await this.#parts.turns.run(`queue/${queueName}`, async () => {
      this.#parts.queue(queueName);
      const existing = this.#forwarders.get(queueName);
      if (existing !== undefined) {
        assertSame("FORWARD_MISMATCH", `The forward of queue ${queueName}`, existing.options, asked);
        return;
      }
      const { exchange = BUS_EXCHANGE, subject } = asked;
      this.#parts.routing.declared(exchange);
      const definition: ForwardDefinition = {
        kind: "forward",
        queue: queueName,
        exchange,
        ...(subject === undefined ? {} : { subject }),
      };
      await this.#parts.catalog.put(definition);
      this.open(definition);
    });
  }

  /** Ends it, durably: messages stay in the queue. Nothing happens when there is none. */
  async remove(queueName: string): Promise<void> {
    await this.#parts.turns.run(`queue/${queueName}`, async () => {
      const definition = this.#parts.catalog.forward(queueName);
      if (definition !== undefined) await this.#parts.catalog.remove(definition);
      await this.end(queueName);
    });
  }

  /** Takes in what is stored. Errors: QUEUE_NOT_FOUND, those of a queue that could not be opened. */
  open({ queue: name, exchange, subject }: ForwardDefinition): void {
    const forwarder = new Forwarder(this.#parts.queue(name), { exchange, subject }, this.#parts);
    this.#forwarders.set(name, forwarder);
    if (this.#isStarted) forwarder.start();
  }

  /** Begins to move messages. Call once, when everything is open. */
  start(): void {
    if (this.#parts.readOnly) return;
    this.#isStarted = true;
    for (const forwarder of this.#forwarders.values()) forwarder.start();
  }

  /** Ends a forward whose definition is gone. Resolves when nothing is under way. */
  async end(queueName: string): Promise<void> {
    const forwarder = this.#forwarders.get(queueName);
    this.#forwarders.delete(queueName);
    await forwarder?.close();
  }

  /** Resolves when nothing is under way. */
  async close(): Promise<void> {
    await Promise.all([...this.#forwarders.values()].map((forwarder) => forwarder.close()));
  }
}
