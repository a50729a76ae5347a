// What all connections of the protocol share.

import type { ProtocolHost } from "../../network/host.js";
import { Counters } from "./counters.js";
import { EnvelopeWriter } from "./envelope.js";
import { Exchanges } from "./exchanges.js";
import { openNames } from "./opening.js";
import { QueueAnswers } from "./queue-answers.js";
import { Queues } from "./queues.js";
import { StorageAlarm } from "./storage-alarm.js";

export class Realm {
  readonly host: ProtocolHost;
  readonly alarm: StorageAlarm;
  readonly counters: Counters;
  readonly exchanges: Exchanges;
  readonly queues: Queues;
  readonly envelopes: EnvelopeWriter;
  readonly #answers: QueueAnswers;

  constructor(host: ProtocolHost) {
    const { broker, clock, log } = host;
    this.host = host;
    this.alarm = new StorageAlarm(clock);
    this.counters = new Counters();
    this.exchanges = new Exchanges(broker);
    this.queues = new Queues(broker);
    this.envelopes = new EnvelopeWriter();
    this.#answers = new QueueAnswers(broker, log);
  }

  /** Makes what clients expect to be there. Errors: those of storage. */
  async open(): Promise<void> {
    await openNames(this.host.broker);
    this.#answers.open();
  }
}
