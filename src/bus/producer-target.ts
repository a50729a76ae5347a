// What a producer sends to: messages of a type, or bodies to a queue or topic.

import type { OutgoingMessage } from "../broker/message.js";
import type { PublishOrigin } from "./middleware.js";
import type { Outlet } from "./outlet.js";
import type { AnyPublishOptions } from "./publish-options.js";

export interface ProducerTarget<T> {
  readonly origin: PublishOrigin;
  /** The message for a payload: at once where that is possible. Errors, thrown or rejected with: INVALID_PAYLOAD, INVALID_SCHEMA, INVALID_OPTION. */
  message(value: T, options: AnyPublishOptions | undefined): OutgoingMessage | Promise<OutgoingMessage>;
  /** Makes or finds what messages with such options go to. */
  open(options: AnyPublishOptions | undefined): Promise<Outlet>;
}
