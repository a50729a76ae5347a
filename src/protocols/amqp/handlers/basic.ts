// basic.qos, consume, cancel, get and recover.

import { UNLIMITED } from "../../../broker/limits.js";
import { amqpName, DIRECT_REPLY } from "../address.js";
import { DirectReplies } from "../direct-reply.js";
import { preconditionFailed, thing } from "../errors.js";
import { fetchOne } from "../fetching.js";
import { integerOf } from "../field-text.js";
import { place } from "../original.js";
import { randomName } from "../random-name.js";
import { OutgoingContent, writeGetOk } from "../wire/basic.js";
import type { FieldTable } from "../wire/fields.js";
import type { Method } from "../wire/methods.js";
import { ProtocolError } from "../wire/protocol-error.js";
import type { ChannelContext } from "./channel-context.js";
import { assertMayRead, nameOf, usable } from "./queue.js";

export function qos(
  channel: ChannelContext,
  { prefetchSize, prefetchCount, global }: Method<"basic.qos">,
): undefined {
  if (prefetchSize !== 0) throw new ProtocolError("NOT_IMPLEMENTED", `prefetch_size!=0 (${prefetchSize})`);
  if (global) channel.consuming.share(prefetchCount);
  else channel.consuming.prefetch = prefetchCount;
  return channel.send("basic.qos-ok", {});
}

export function consume(channel: ChannelContext, method: Method<"basic.consume">): undefined {
  const { consuming, connection } = channel;
  const tag =
    method.consumerTag === "" ? randomName("amq.ctag-", connection.host.random) : method.consumerTag;
  if (consuming.consumers.has(tag) || channel.replies?.tag === tag)
    throw new ProtocolError("NOT_ALLOWED", `attempt to reuse consumer tag '${tag}'`);
  const { subscriptionsMax } = connection.host.limits;
  if (connection.consumerCount >= subscriptionsMax)
    throw new ProtocolError(
      "NOT_ALLOWED",
      `reached maximum (${subscriptionsMax}) of consumers per connection`,
    );
  if (method.queue === DIRECT_REPLY) {
    consumeReplies(channel, method, tag);
    return;
  }
  const name = nameOf(channel, method.queue);
  assertMayRead(channel, name);
  const queue = usable(channel, name);
  const { exclusive } = consuming.queues;
  const isTaken = method.exclusive && consuming.queues.consumerCount(queue) > 0;
  if (isTaken || exclusive.has(queue))
    throw new ProtocolError("ACCESS_REFUSED", `${thing("queue", name)} in exclusive use`);
  const priority = priorityOf(name, method.arguments);
  consuming.add({
    tag,
    queue,
    isNoAck: method.noAck,
    isExclusive: method.exclusive,
    priority,
    prefetch: consuming.prefetch,
  });
  // Deliveries follow in a later turn.
  if (!method.noWait) channel.send("basic.consume-ok", { consumerTag: tag });
}

function consumeReplies(
  channel: ChannelContext,
  { noAck, noWait }: Method<"basic.consume">,
  tag: string,
): void {
  if (!noAck) throw preconditionFailed("reply consumer cannot acknowledge");
  if (channel.replies !== undefined) throw preconditionFailed("reply consumer already set");
  channel.replies = new DirectReplies(channel.connection, channel.number, tag, channel.consuming.unacked);
  if (!noWait) channel.send("basic.consume-ok", { consumerTag: tag });
}

function priorityOf(queue: string, table: FieldTable): number {
  const field = table.get("x-priority");
  if (field === undefined) return 0;
  const priority = integerOf(field);
  if (priority !== undefined) return priority;
  throw preconditionFailed(
    `invalid arg 'x-priority' for ${thing("queue", queue)}: "expected integer, got ${field.type}"`,
  );
}

export function cancel(channel: ChannelContext, { consumerTag, noWait }: Method<"basic.cancel">): undefined {
  channel.consuming.cancel(consumerTag);
  if (channel.replies?.tag === consumerTag) {
    channel.replies.close();
    channel.replies = undefined;
  }
  if (!noWait) channel.send("basic.cancel-ok", { consumerTag });
}

export async function get(channel: ChannelContext, method: Method<"basic.get">): Promise<void> {
  const { connection, consuming, number } = channel;
  const name = nameOf(channel, method.queue);
  assertMayRead(channel, name);
  const queue = usable(channel, name);
  const { queues, unacked } = consuming;
  const delivery = await fetchOne(queue, connection.host.clock);
  if (consuming.isClosed) {
    delivery?.release();
    return;
  }
  if (delivery === undefined) {
    channel.send("basic.get-empty", { clusterId: "" });
    return;
  }
  const { record, isRedelivered } = delivery;
  const failedTries = queue.options.attemptsMax === UNLIMITED ? 0 : delivery.attempt - 1;
  const content = new OutgoingContent();
  place(content, record, { queue: amqpName(queue.name), failedTries });
  const tag = method.noAck ? unacked.skip() : unacked.add(delivery);
  if (method.noAck) delivery.ack();
  else delivery.onLeaseLost = consuming.leaseLost;
  const count = queues.readyCount(queue);
  const { writer, frameMax } = connection;
  connection.realm.counters.delivered += 1;
  writeGetOk(writer, number, frameMax, tag, isRedelivered, count, content);
}

export function recover(
  channel: ChannelContext,
  method: Method<"basic.recover" | "basic.recover-async">,
): undefined {
  if (!method.requeue) throw new ProtocolError("NOT_IMPLEMENTED", "requeue=false");
  channel.consuming.recover();
  if (method.name === "basic.recover") channel.send("basic.recover-ok", {});
}
