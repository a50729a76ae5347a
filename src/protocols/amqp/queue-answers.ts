// Answers to queues: what is published live to the subject of a queue is appended to it.

import type { Broker } from "../../broker/broker.js";
import type { LiveMessage, LiveReceiver } from "../../broker/live-message.js";
import { SUBJECT_HEADER } from "../../broker/message.js";
import { encodeHeaders } from "../../log/record-headers.js";
import type { ServerLog } from "../../network/host.js";
import { brokerName, QUEUES_PATTERN, queueOfSubject } from "./address.js";

export class QueueAnswers implements LiveReceiver {
  /** However many servers a bus has, one of them takes an answer. */
  readonly group = "amqp queues";
  readonly #broker: Broker;
  readonly #log: ServerLog;

  constructor(broker: Broker, log: ServerLog) {
    this.#broker = broker;
    this.#log = log;
  }

  /** Errors: CLOSED. */
  open(): void {
    this.#broker.live.add(QUEUES_PATTERN, this);
  }

  offer({ subject, record }: LiveMessage): boolean {
    const name = queueOfSubject(subject);
    const queue = name === undefined ? undefined : this.#broker.queue(brokerName(name));
    if (queue === undefined) return false;
    const { key, value, timestampMs } = record;
    // In the queue it is a message that was sent to the queue, and says no subject.
    const headers = encodeHeaders(record.headers().filter(([header]) => header !== SUBJECT_HEADER));
    try {
      const appended = queue.append({ subject, key, value, headers, timestampMs, expiresAtMs: 0 });
      appended.committed.catch((error: unknown) => this.#lost(queue.name, error));
      return true;
    } catch (error) {
      this.#lost(queue.name, error);
      return false;
    }
  }

  #lost(queue: string, error: unknown): void {
    this.#log.warn(
      { queue, error: String(error) },
      "an answer could not be put into the queue that it was for",
    );
  }
}
