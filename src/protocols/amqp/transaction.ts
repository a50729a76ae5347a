// A channel in transactional mode: what it publishes and answers waits for the commit.

import type { Appended } from "../../broker/appended.js";
import type { Delivery } from "../../broker/delivery.js";
import { isBrokerError } from "../../broker-error.js";
import type { Consuming, Refusal } from "./consuming.js";
import { preconditionFailed } from "./errors.js";
import type { IncomingPublish } from "./incoming-publish.js";
import type { Posted, Publishing } from "./publishing.js";

/** What may wait in one transaction. */
const BYTES_MAX = 64 * 1024 * 1024;
const COUNT_MAX = 100_000;

interface Answer {
  readonly tag: number;
  readonly delivery: Delivery;
  readonly refusal: Refusal | undefined;
}

export class Transaction {
  readonly #publishing: Publishing;
  readonly #consuming: Consuming;
  #posted: Posted[] = [];
  #answers: Answer[] = [];
  #sizeBytes = 0;

  constructor(publishing: Publishing, consuming: Consuming) {
    this.#publishing = publishing;
    this.#consuming = consuming;
  }

  /** Errors: those of what it says; PRECONDITION_FAILED when too much waits. */
  publish(publish: IncomingPublish): void {
    const envelope = this.#publishing.envelopeOf(publish);
    const { body, isMandatory } = publish;
    this.#sizeBytes += body.length + envelope.headers.length;
    if (this.#sizeBytes > BYTES_MAX || this.#posted.length >= COUNT_MAX)
      throw preconditionFailed(`a transaction may hold ${BYTES_MAX} bytes in ${COUNT_MAX} messages`);
    this.#posted.push({ envelope, body, isMandatory });
  }

  /** Without a refusal it is an ack. Errors: PRECONDITION_FAILED for a tag that nothing waits with. */
  answer(tag: number, isMultiple: boolean, refusal: Refusal | undefined): void {
    const { unacked } = this.#consuming;
    if (!isMultiple) this.#answers.push({ tag, delivery: this.#consuming.take(tag), refusal });
    else
      for (const delivery of this.#consuming.takeUpTo(tag))
        this.#answers.push({ tag: unacked.lastTaken, delivery, refusal });
  }

  /** All of it, or nothing. Errors: those of the broker; then the transaction is as it was. */
  async commit(): Promise<void> {
    const posted = this.#posted;
    const answers = this.#answers;
    const acked = answers.filter(({ delivery, refusal }) => refusal === undefined && delivery.isLeased);
    const returned: Posted[] = [];
    const append = (): Appended[] => {
      const all: Appended[] = [];
      for (const one of posted) {
        const appended = this.#publishing.handOver(one.envelope, one.body);
        if (one.isMandatory && !this.#publishing.wasTaken(appended)) returned.push(one);
        all.push(...appended);
      }
      return all;
    };
    try {
      const deliveries = acked.map(({ delivery }) => delivery);
      await this.#publishing.broker.commit(deliveries, append);
    } catch (error) {
      if (isBrokerError(error, "QUEUE_FULL")) throw preconditionFailed("partial tx completion");
      throw error;
    }
    for (const { envelope, body } of returned) this.#publishing.giveBack(envelope, body);
    for (const { delivery, refusal } of answers)
      if (refusal !== undefined) this.#consuming.end(delivery, refusal);
    this.#begin();
  }

  /** Forgets what was published; what was answered waits for an answer again. */
  rollback(): void {
    this.#consuming.unacked.restore(this.#answers.map(({ tag, delivery }) => [tag, delivery]));
    this.#begin();
  }

  #begin(): void {
    this.#posted = [];
    this.#answers = [];
    this.#sizeBytes = 0;
  }
}
