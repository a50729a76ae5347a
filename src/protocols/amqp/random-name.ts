// Names that the server gives: of queues and consumers that were not named.

import type { Random } from "../../io/io.js";

/** 128 random bits, 22 characters, as RabbitMQ has them. */
export function randomName(prefix: string, random: Random): string {
  const bytes = Buffer.alloc(16);
  for (let at = 0; at < 16; at += 4) bytes.writeUInt32BE(random.uint32(), at);
  return prefix + bytes.toString("base64url");
}
