// What the protocol has done since it was opened.

import type { Measure } from "../../network/host.js";

const LABELS = { protocol: "nats" };

export class Counters {
  received = 0;
  receivedBytes = 0;
  /** Of connections that are closed; the others count for themselves. */
  delivered = 0;
  slowConsumers = 0;
  stalls = 0;
  noResponders = 0;
  refusedPublishes = 0;

  *measures(delivered: number): Generator<Measure> {
    const rows: readonly [name: string, help: string, value: number][] = [
      ["omnibus_messages_received_total", "Messages that clients published.", this.received],
      [
        "omnibus_message_bytes_received_total",
        "Bytes of the messages that clients published.",
        this.receivedBytes,
      ],
      ["omnibus_messages_delivered_total", "Messages that were sent to clients.", this.delivered + delivered],
      [
        "omnibus_slow_consumers_total",
        "Clients that were cut because they did not keep up.",
        this.slowConsumers,
      ],
      ["omnibus_publisher_stalls_total", "Times a publisher was held back for its subscribers.", this.stalls],
      ["omnibus_no_responders_total", "Requests that nobody was there to answer.", this.noResponders],
      ["omnibus_publishes_refused_total", "Messages that were refused.", this.refusedPublishes],
    ];
    for (const [name, help, value] of rows) yield { name, help, labels: LABELS, value };
  }
}
