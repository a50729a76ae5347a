// The hash by which a key chooses its partition.

const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;

/**
 * MurmurHash2, 32 bit, with the seed that Kafka's clients use (org.apache.kafka.common.utils.Utils.murmur2), as an
 * unsigned number. Every client that hashes keys so agrees with us where a key lives.
 */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  let hash = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    word = Math.imul(word, MULTIPLIER);
    word ^= word >>> 24;
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER);
  }
  const rest = length - at;
  if (rest === 3) hash ^= bytes[at + 2]! << 16;
  if (rest >= 2) hash ^= bytes[at + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[at]!, MULTIPLIER);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, MULTIPLIER);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** The partition of `key` among `partitions`, as Kafka's default partitioner chooses it: the sign bit is dropped first. */
export function partitionOf(key: string | Uint8Array, partitions: number): number {
  const bytes = typeof key === "string" ? Buffer.from(key) : key;
  return (murmur2(bytes) & 0x7fffffff) % partitions;
}
