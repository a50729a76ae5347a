// Checking passwords against hashes that are slow on purpose: few at a time, and each pair of both once.

import { createHmac } from "node:crypto";
import type { Random } from "../io/io.js";
import { drawBytes, isPassword, type PasswordHash } from "./password-hash.js";

/** Each takes a thread of the pool that the disk is written with as well, and that has four. */
const AT_A_TIME = 2;
/** More than these are refused: they would wait for longer than a handshake may take. */
const WAITING_MAX = 100;
const RIGHT_MAX = 10_000;
const WRONG_MAX = 1_000;
const KEY_BYTES = 32;

/** `busy`: so many are being checked that this one was not. */
export type Checked = "right" | "wrong" | "busy";

/**
 * Ten thousand connections of one user cost one hash: what was found is remembered under a digest with a key that only
 * this process knows. Neither passwords nor anything that is quick to try them against is kept.
 */
export class PasswordCheck {
  readonly #key: Buffer;
  readonly #right = new Set<string>();
  readonly #wrong = new Set<string>();
  readonly #checking = new Map<string, Promise<Checked>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(random: Random) {
    this.#key = drawBytes(random, KEY_BYTES);
  }

  /** Never rejects: what cannot be checked is wrong. `user` is empty for a token. */
  async check(user: string, password: string, hash: PasswordHash): Promise<Checked> {
    const digest = this.#digest(user, password, hash);
    if (this.#right.has(digest)) return "right";
    if (this.#wrong.has(digest)) return "wrong";
    const running = this.#checking.get(digest);
    if (running !== undefined) return await running;
    if (this.#waiting.length >= WAITING_MAX) return "busy";
    const checking = this.#run(password, hash, digest);
    this.#checking.set(digest, checking);
    return await checking;
  }

  async #run(password: string, hash: PasswordHash, digest: string): Promise<Checked> {
    if (this.#running >= AT_A_TIME) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    const isRight = await isPassword(password, hash).catch(() => false);
    this.#running -= 1;
    this.#waiting.shift()?.();
    if (isRight) keep(this.#right, digest, RIGHT_MAX);
    else keep(this.#wrong, digest, WRONG_MAX);
    this.#checking.delete(digest);
    return isRight ? "right" : "wrong";
  }

  /** The hash is a part of it, so that another password makes another digest. */
  #digest(user: string, password: string, { text }: PasswordHash): string {
    const hmac = createHmac("sha256", this.#key);
    for (const part of [user, password, text]) hmac.update(`${Buffer.byteLength(part)}:`).update(part);
    return hmac.digest("base64");
  }
}

/** Without the one that was found first, when there are too many. */
function keep(digests: Set<string>, digest: string, max: number): void {
  const [first] = digests;
  if (digests.size >= max && first !== undefined) digests.delete(first);
  digests.add(digest);
}
