// Builds the encoded headers of a record (drawn in `record-headers.ts`), straight from the bytes that came.

import { varintSize, writeVarint } from "../../bytes/varint.js";
import type { EncodedHeaders } from "../../log/record-headers.js";

/** Room before the first header for the longest count. */
const COUNT_BYTES_MAX = 3;
const LENGTH_BYTES_MAX = 5;

/** Hot: one is used for message after message; what {@link end} returns is a copy. */
export class HeaderBlock {
  private scratch: Buffer;
  private at: number;
  private count: number;

  constructor() {
    this.scratch = Buffer.allocUnsafeSlow(4096);
    this.at = COUNT_BYTES_MAX;
    this.count = 0;
  }

  begin(): void {
    this.at = COUNT_BYTES_MAX;
    this.count = 0;
  }

  /** The value is `source[start, end)`. */
  bytes(name: Uint8Array, source: Uint8Array, start: number, end: number): void {
    this.name(name);
    const size = end - start;
    this.at = writeVarint(this.scratch, this.at, size);
    this.ensure(size);
    this.copy(source, start, end);
  }

  /** The value is `first` and then `second`. */
  joined(name: Uint8Array, first: Uint8Array, second: Uint8Array): void {
    this.name(name);
    this.at = writeVarint(this.scratch, this.at, first.length + second.length);
    this.ensure(first.length + second.length);
    this.copy(first, 0, first.length);
    this.copy(second, 0, second.length);
  }

  text(name: Uint8Array, text: string): void {
    this.name(name);
    const size = Buffer.byteLength(text);
    this.at = writeVarint(this.scratch, this.at, size);
    this.ensure(size);
    this.at += this.scratch.write(text, this.at);
  }

  end(): EncodedHeaders {
    const start = COUNT_BYTES_MAX - varintSize(this.count);
    writeVarint(this.scratch, start, this.count);
    return Buffer.from(this.scratch.subarray(start, this.at));
  }

  /** Leaves room for the length of the value. */
  private name(name: Uint8Array): void {
    this.count += 1;
    this.ensure(name.length + 2 * LENGTH_BYTES_MAX);
    this.at = writeVarint(this.scratch, this.at, name.length);
    this.copy(name, 0, name.length);
  }

  private copy(source: Uint8Array, start: number, end: number): void {
    const { scratch, at } = this;
    for (let i = start; i < end; i += 1) scratch[at + i - start] = source[i]!;
    this.at = at + end - start;
  }

  private ensure(sizeBytes: number): void {
    if (this.at + sizeBytes <= this.scratch.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.scratch.length * 2, this.at + sizeBytes));
    this.scratch.copy(grown, 0, 0, this.at);
    this.scratch = grown;
  }
}
