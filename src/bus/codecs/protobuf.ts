// Protobuf bodies: `omnibus/protobuf`. Needs the package @bufbuild/protobuf, and message types made by its generator.

import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Codec } from "../codec.js";

/** No body is a message in which nothing is set. */
const EMPTY = new Uint8Array(0);

/**
 * Protobuf messages of one type: what is sent is a message, or the fields of one; a handler gets the message. Fields
 * that this version of the type does not know are kept.
 *
 * @example
 * import { protobuf } from "omnibus/protobuf";
 * import { OrderSchema } from "./gen/order_pb.js"; // made from order.proto by protoc-gen-es
 * const PlaceOrder = command("order.place", { codec: protobuf(OrderSchema) });
 * await bus.send(PlaceOrder, { id: "o-1", total: 42 });
 */
export function protobuf<Desc extends DescMessage>(
  type: Desc,
): Codec<MessageInitShape<Desc>, MessageShape<Desc>> {
  return {
    contentType: "application/protobuf",
    reads: ["application/x-protobuf", "application/vnd.google.protobuf"],
    encode(value) {
      return toBinary(type, create(type, value));
    },
    decode(record) {
      return fromBinary(type, record.value ?? EMPTY);
    },
  };
}
