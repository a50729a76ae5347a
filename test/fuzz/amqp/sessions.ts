// What real clients send, as bytes that can be cut and changed.

import { NO_FIELDS, textField } from "../../../src/protocols/amqp/wire/fields.js";
import { frame, methodFrame, PROTOCOL_HEADER, publishFrames } from "../../protocols/amqp/raw-client.js";

/** Up to an open connection. */
export function opening(): Buffer {
  return Buffer.concat([
    PROTOCOL_HEADER,
    methodFrame(0, "connection.start-ok", {
      clientProperties: new Map([
        ["product", textField("fuzz")],
        ["capabilities", { type: "table", value: new Map([["basic.nack", { type: "bool", value: true }]]) }],
      ]),
      mechanism: "PLAIN",
      response: Buffer.from("\0guest\0guest"),
      locale: "en_US",
    }),
    methodFrame(0, "connection.tune-ok", { channelMax: 2047, frameMax: 131_072, heartbeat: 0 }),
    methodFrame(0, "connection.open", { virtualHost: "/", capabilities: "", insist: false }),
  ]);
}

/** A queue that goes with the connection. */
const declaration = {
  ticket: 0,
  passive: false,
  durable: false,
  exclusive: true,
  autoDelete: false,
  noWait: false,
  arguments: NO_FIELDS,
};

const consumer = {
  ticket: 0,
  noLocal: false,
  noAck: false,
  exclusive: false,
  noWait: false,
  arguments: NO_FIELDS,
};

const closing = { replyCode: 200, replyText: "", classId: 0, methodId: 0 };

/** What a worker does: declares, publishes with confirms, consumes, settles, asks, and says goodbye. */
export function working(queue: string): Buffer {
  return Buffer.concat([
    methodFrame(1, "channel.open", { outOfBand: "" }),
    methodFrame(1, "queue.declare", { ...declaration, queue }),
    methodFrame(1, "confirm.select", { noWait: false }),
    methodFrame(1, "basic.qos", { prefetchSize: 0, prefetchCount: 10, global: false }),
    publishFrames(1, "", queue, Buffer.from("the first body"), 5),
    frame(8, 0, Buffer.alloc(0)),
    publishFrames(1, "", queue, Buffer.alloc(0)),
    publishFrames(1, "amq.topic", "nobody.listens", Buffer.from("gone")),
    methodFrame(1, "basic.get", { ticket: 0, queue, noAck: false }),
    methodFrame(1, "basic.reject", { deliveryTag: 1, requeue: true }),
    methodFrame(1, "queue.purge", { ticket: 0, queue, noWait: false }),
    methodFrame(2, "channel.open", { outOfBand: "" }),
    methodFrame(2, "channel.close", closing),
    publishFrames(1, "", queue, Buffer.from("another body")),
    methodFrame(1, "basic.consume", { ...consumer, queue, consumerTag: "worker" }),
    methodFrame(1, "queue.bind", {
      ticket: 0,
      queue,
      exchange: "amq.topic",
      routingKey: "order.#",
      noWait: false,
      arguments: NO_FIELDS,
    }),
    methodFrame(1, "exchange.declare", {
      ticket: 0,
      exchange: "amq.direct",
      type: "direct",
      passive: true,
      durable: true,
      autoDelete: false,
      internal: false,
      noWait: false,
      arguments: NO_FIELDS,
    }),
    methodFrame(1, "basic.cancel", { consumerTag: "worker", noWait: false }),
    methodFrame(1, "queue.delete", { ticket: 0, queue, ifUnused: false, ifEmpty: false, noWait: false }),
  ]);
}

export function goodbye(): Buffer {
  return methodFrame(0, "connection.close", closing);
}
