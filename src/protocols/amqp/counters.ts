// What the protocol counts for the metrics page.

import type { Measure } from "../../network/host.js";

export class Counters {
  /** Since the server was started. */
  published = 0;
  delivered = 0;
  returned = 0;
  /** Channels that are open. */
  channels = 0;

  *measures(isBlocked: boolean): Generator<Measure> {
    yield measure(
      "omnibus_amqp_messages_published_total",
      "Messages that AMQP clients published.",
      this.published,
    );
    yield measure(
      "omnibus_amqp_messages_delivered_total",
      "Messages that AMQP clients were sent.",
      this.delivered,
    );
    yield measure(
      "omnibus_amqp_messages_returned_total",
      "Mandatory messages that led nowhere.",
      this.returned,
    );
    yield measure("omnibus_amqp_channels", "AMQP channels that are open.", this.channels);
    yield measure(
      "omnibus_amqp_blocked",
      "1 while AMQP publishers are held back: nothing can be stored.",
      isBlocked ? 1 : 0,
    );
  }
}

function measure(name: string, help: string, value: number): Measure {
  return { name, help, labels: {}, value };
}
