// Public keys of NATS users, and the signatures that prove them.
//
//   'U' and 55 characters: base32 without padding of | prefix 0xa0 | 32 bytes of an Ed25519 key | CRC-16/XMODEM, little-endian |
//   https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth

import { createPublicKey, type KeyObject, verify } from "node:crypto";

const USER_PREFIX = 20 << 3;
const KEY_AT = 1;
const CRC_AT = 33;
const SIZE_BYTES = 35;
const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** What stands before the key in its SubjectPublicKeyInfo: RFC 8410. */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** Undefined when the text is no public key of a user. */
export function parseUserKey(text: string): KeyObject | undefined {
  const bytes = decodeBase32(text);
  if (bytes === undefined || bytes.length !== SIZE_BYTES || bytes[0] !== USER_PREFIX) return undefined;
  if (crc16(bytes.subarray(0, CRC_AT)) !== bytes.readUInt16LE(CRC_AT)) return undefined;
  const der = Buffer.concat([SPKI_PREFIX, bytes.subarray(KEY_AT, CRC_AT)]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

/** Whether the owner of the key has signed `nonce`. */
export function hasSigned(key: KeyObject, nonce: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && verify(null, nonce, key, signature);
}

function decodeBase32(text: string): Buffer | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const digit = BASE32.indexOf(character);
    if (digit < 0) return undefined;
    value = ((value << 5) | digit) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >>> bits) & 0xff);
  }
  return Buffer.from(bytes);
}

/** CRC-16/XMODEM: polynomial 0x1021, from 0. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1)
      crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc;
}
