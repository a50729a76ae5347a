// Hashes of passwords as text: `$scrypt$N$r$p$salt$hash`, the last two in base64. See RFC 7914 for N, r and p.

import { scrypt, timingSafeEqual } from "node:crypto";
import type { Random } from "../io/io.js";
import { systemIo } from "../io/system-io.js";

/** Of new hashes: 32 MiB and 0.1 to 0.2 s. */
const COST = { N: 32_768, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** What a hash from a file may ask for at most: 256 MiB, and some seconds. */
const N_MAX = 2 ** 18;
const FACTOR_MAX = 16;
const PASSWORD_BYTES_MAX = 1_024;
const HASH_TEXT =
  /^\$scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]{11,86}={0,2})\$([A-Za-z0-9+/]{22,86}={0,2})$/;

/** A hash that was read. */
export interface PasswordHash {
  readonly text: string;
  readonly cost: { readonly N: number; readonly r: number; readonly p: number };
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** The text to keep instead of `password`; another one each time. For {@link UserOptions.password} and `token`. */
export async function hashPassword(
  password: string,
  random: Random = systemIo.random,
  cost: PasswordHash["cost"] = COST,
): Promise<string> {
  const salt = drawBytes(random, SALT_BYTES);
  const hash = await derive(password, salt, HASH_BYTES, cost);
  const { N, r, p } = cost;
  return `$scrypt$${N}$${r}$${p}$${base64(salt)}$${base64(hash)}`;
}

/** Undefined when the text is no hash, or one that would cost too much to check. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  const [, n = "", r = "", p = "", salt = "", hash = ""] = HASH_TEXT.exec(text) ?? [];
  const cost = { N: Number(n), r: Number(r), p: Number(p) };
  const isPowerOfTwo = cost.N > 1 && (cost.N & (cost.N - 1)) === 0;
  if (!isPowerOfTwo || cost.N > N_MAX) return undefined;
  if (cost.r < 1 || cost.r > FACTOR_MAX || cost.p < 1 || cost.p > FACTOR_MAX) return undefined;
  return { text, cost, salt: Buffer.from(salt, "base64"), hash: Buffer.from(hash, "base64") };
}

/** A hash that no password has, to check against when there is no user: it costs the same. */
export function unmatchedHash(cost: PasswordHash["cost"] = COST): PasswordHash {
  return { text: "", cost, salt: Buffer.alloc(SALT_BYTES), hash: Buffer.alloc(HASH_BYTES) };
}

/** Compares in constant time. */
export async function isPassword(password: string, { cost, salt, hash }: PasswordHash): Promise<boolean> {
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return false;
  return timingSafeEqual(await derive(password, salt, hash.length, cost), hash);
}

/** Bytes that nobody can guess. */
export function drawBytes(random: Random, count: number): Buffer {
  const bytes = Buffer.alloc(Math.ceil(count / 4) * 4);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(random.uint32(), at);
  return bytes.subarray(0, count);
}

function derive(
  password: string,
  salt: Buffer,
  length: number,
  { N, r, p }: PasswordHash["cost"],
): Promise<Buffer> {
  const maxmem = 256 * N * r + 1024 * 1024;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, { N, r, p, maxmem }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

function base64(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
