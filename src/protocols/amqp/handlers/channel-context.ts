// A channel, as far as the handlers of its methods need it.

import type { ChannelHost } from "../channel-host.js";
import type { Consuming } from "../consuming.js";
import type { DirectReplies } from "../direct-reply.js";
import type { MethodFields, MethodName } from "../wire/methods.js";

export interface ChannelContext {
  readonly connection: ChannelHost;
  readonly number: number;
  readonly consuming: Consuming;
  /** The queue that an empty name stands for: the one that was declared last. */
  lastQueue: string | undefined;
  /** The consumer of direct answers. */
  replies: DirectReplies | undefined;
  /** Answers the client. */
  send<N extends MethodName>(name: N, fields: MethodFields<N>): undefined;
}
