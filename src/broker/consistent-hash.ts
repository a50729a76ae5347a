// Chooses one of several members for a key, always the same one, so that a member that comes or goes moves its own share
// only: rendezvous hashing with weights.

import { murmur2 } from "../bytes/murmur2.js";

interface Member<T> {
  readonly value: T;
  readonly hash: number;
  weight: number;
}

/**
 * Every member draws a number for the key, and the highest wins. A member that leaves changes nobody else's number, so
 * only its keys move; one that comes wins from each other member the part that its weight is of the whole. Choosing
 * looks at each member.
 */
export class ConsistentHash<T> {
  readonly #members = new Map<string, Member<T>>();

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** Adds a member, or changes its weight. Its name decides which keys it gets. */
  set(name: string, value: T, weight: number): void {
    this.#members.set(name, { value, hash: murmur2(Buffer.from(name)), weight });
  }

  delete(name: string): void {
    this.#members.delete(name);
  }

  /** Hot: the member for `key`; undefined when there is none. */
  choose(key: string | Uint8Array): T | undefined {
    const hash = murmur2(typeof key === "string" ? Buffer.from(key) : key);
    let chosen: Member<T> | undefined;
    let best = Number.NEGATIVE_INFINITY;
    for (const member of this.#members.values()) {
      const score = Math.log(drawn(hash, member.hash)) / member.weight;
      if (score <= best) continue;
      best = score;
      chosen = member;
    }
    return chosen?.value;
  }
}

/** Between 0 and 1, neither included: the same for the same two hashes, and as good as independent for others. */
function drawn(keyHash: number, memberHash: number): number {
  let mixed = Math.imul(keyHash ^ Math.imul(memberHash, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16) ^ memberHash, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  return ((mixed >>> 0) + 0.5) / 2 ** 32;
}
