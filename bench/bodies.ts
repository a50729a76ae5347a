// The bodies of the benchmark's messages: 128 bytes that carry the queue, the number of the message and a check, so
// that a lost, repeated, misrouted or damaged message is noticed. One layout for bytes and text, one for objects.
//
//   0        8       16                                  128
//   | number | check | filler ...                          |     both numbers are 8 hexadecimal digits

export const BODY_BYTES = 128;
/** What the readers return for a body that nobody here wrote. */
export const CORRUPT_BODY = -1;

const PREFIX_BYTES = 16;
const FILLER = "omnibus bench filler ".repeat(6).slice(0, BODY_BYTES - PREFIX_BYTES);
const FILLER_BYTES = Buffer.from(FILLER, "latin1");
const DIGITS = Buffer.from("0123456789abcdef", "latin1");
/** The filler of every so-manieth message is compared; number and check of all. Comparing all would cost more than some engines. */
const FILLER_CHECK_MASK = 63;

/** The message as an application with a schema would publish it: 128 bytes as JSON, give or take a digit. */
export interface JsonBody {
  readonly number: number;
  readonly check: number;
  readonly note: string;
}
const NOTE = FILLER.slice(0, 82);

function checkOf(queue: number, number: number): number {
  return (Math.imul(number + 1, 0x9e3779b1) ^ Math.imul(queue + 1, 0x85ebca6b)) >>> 0;
}

function writeHex(target: Buffer, at: number, value: number): void {
  for (let digit = 7; digit >= 0; digit--) {
    target[at + digit] = DIGITS[value & 15]!;
    value >>>= 4;
  }
}

function readHex(source: Uint8Array, at: number): number {
  let value = 0;
  for (let digit = 0; digit < 8; digit++) {
    const character = source[at + digit]!;
    value = (value << 4) | (character < 58 ? character - 48 : character - 87);
  }
  return value >>> 0;
}

/**
 * Bodies as bytes, in buffers that are used again after `capacity` messages: the load generator never has more than its
 * depth between publish and settlement, so an engine that copies by the time `publish` resolves never sees a change.
 */
export class BodyRing {
  readonly #bodies: Buffer[] = [];
  readonly #mask: number;
  readonly #queue: number;

  constructor(queue: number, capacity: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(capacity, 2)));
    this.#queue = queue;
    this.#mask = size - 1;
    for (let index = 0; index < size; index++) {
      const body = Buffer.allocUnsafeSlow(BODY_BYTES);
      FILLER_BYTES.copy(body, PREFIX_BYTES);
      this.#bodies.push(body);
    }
  }

  body(number: number): Buffer {
    const body = this.#bodies[number & this.#mask]!;
    writeHex(body, 0, number);
    writeHex(body, 8, checkOf(this.#queue, number));
    return body;
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

export function textBody(queue: number, number: number): string {
  return hex(number) + hex(checkOf(queue, number)) + FILLER;
}

export function jsonBody(queue: number, number: number): JsonBody {
  return { number, check: checkOf(queue, number), note: NOTE };
}

export function readBody(queue: number, body: Uint8Array): number {
  if (body.length !== BODY_BYTES) return CORRUPT_BODY;
  const number = readHex(body, 0);
  if (readHex(body, 8) !== checkOf(queue, number)) return CORRUPT_BODY;
  if ((number & FILLER_CHECK_MASK) !== 0) return number;
  return FILLER_BYTES.compare(body, PREFIX_BYTES) === 0 ? number : CORRUPT_BODY;
}

export function readTextBody(queue: number, body: string): number {
  const number = Number.parseInt(body.slice(0, 8), 16);
  if (body.length !== BODY_BYTES || body.slice(8, 16) !== hex(checkOf(queue, number))) return CORRUPT_BODY;
  return body.endsWith(FILLER) ? number : CORRUPT_BODY;
}

export function readJsonBody(queue: number, body: JsonBody): number {
  return body.check === checkOf(queue, body.number) && body.note === NOTE ? body.number : CORRUPT_BODY;
}
