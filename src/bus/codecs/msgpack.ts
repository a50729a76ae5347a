// MessagePack bodies: `omnibus/msgpack`. Needs the package @msgpack/msgpack.

import { decode, encode } from "@msgpack/msgpack";
import type { Codec } from "../codec.js";

/** No body is a MessagePack value. */
const EMPTY = new Uint8Array(0);

/**
 * MessagePack (https://msgpack.org): what JSON can say, and bytes and dates, in fewer bytes. As in JSON, a field that is
 * undefined is left out, and whole numbers are exact up to 2^53; a bigint is refused. Bytes that a handler gets are
 * views of what is stored.
 *
 * @example
 * import { msgpack } from "omnibus/msgpack";
 * const ReadingTaken = event<{ sensor: string; at: Date; raw: Uint8Array }>("reading.taken", { codec: msgpack });
 */
export const msgpack: Codec<unknown> = {
  contentType: "application/vnd.msgpack",
  reads: ["application/msgpack", "application/x-msgpack"],
  encode(value) {
    if (value === undefined) throw new TypeError("MessagePack has no undefined");
    return encode(value, { ignoreUndefined: true });
  },
  decode(record) {
    const { buffer, byteOffset, length } = record.value ?? EMPTY;
    // Bytes in it become views of the same class: a Buffer would compare as something else than what was sent.
    const body = new Uint8Array(buffer, byteOffset, length);
    // Each element takes a byte: a length that claims more must not make room for them.
    return decode(body, { maxArrayLength: length, maxMapLength: length });
  },
};
