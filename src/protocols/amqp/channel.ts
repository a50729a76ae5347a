// One channel: what its client asks for, in order.

import type { ChannelHost, ChannelMethod, IncomingPublish, ServedChannel } from "./channel-host.js";
import { ProtocolError } from "./wire/protocol-error.js";

export class Channel implements ServedChannel {
  readonly consumerCount = 0;
  readonly #connection: ChannelHost;
  readonly #number: number;

  constructor(connection: ChannelHost, number: number) {
    this.#connection = connection;
    this.#number = number;
  }

  publish(_publish: IncomingPublish): undefined {
    return undefined;
  }

  ack(_deliveryTag: number, _isMultiple: boolean): undefined {
    return undefined;
  }

  nack(_deliveryTag: number, _isMultiple: boolean, _isRequeued: boolean): undefined {
    return undefined;
  }

  reject(_deliveryTag: number, _isRequeued: boolean): undefined {
    return undefined;
  }

  method(method: ChannelMethod): undefined {
    switch (method.name) {
      case "tx.select":
        this.#connection.send(this.#number, "tx.select-ok", {});
        return undefined;
      default:
        throw new ProtocolError("NOT_IMPLEMENTED", method.name);
    }
  }

  pause(): void {}

  resume(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
