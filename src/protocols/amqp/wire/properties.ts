// Properties of a message (AMQP 0-9-1, 4.2.6.1): 16 flags, the highest first, then each property whose flag is set.

import { type FieldTable, readTable, tableSize, writeTable } from "./fields.js";
import { ProtocolError } from "./protocol-error.js";
import { WireReader } from "./reader.js";

export interface BasicProperties {
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly headers?: FieldTable | undefined;
  /** 2 is persistent. */
  readonly deliveryMode?: number | undefined;
  readonly priority?: number | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  /** Milliseconds in decimal. */
  readonly expiration?: string | undefined;
  readonly messageId?: string | undefined;
  /** Seconds since 1970. */
  readonly timestamp?: number | undefined;
  readonly type?: string | undefined;
  readonly userId?: string | undefined;
  readonly appId?: string | undefined;
  readonly clusterId?: string | undefined;
}

type PropertyName = keyof BasicProperties;

/** In the order of the wire. */
const PROPERTIES: readonly (readonly [name: PropertyName, flag: number])[] = [
  ["contentType", 0x8000],
  ["contentEncoding", 0x4000],
  ["headers", 0x2000],
  ["deliveryMode", 0x1000],
  ["priority", 0x0800],
  ["correlationId", 0x0400],
  ["replyTo", 0x0200],
  ["expiration", 0x0100],
  ["messageId", 0x0080],
  ["timestamp", 0x0040],
  ["type", 0x0020],
  ["userId", 0x0010],
  ["appId", 0x0008],
  ["clusterId", 0x0004],
];
const UNKNOWN_FLAGS = 0x0003;

/** Errors: FRAME_ERROR when `bytes` are not flags and the properties that they name. */
export function readProperties(bytes: Buffer): BasicProperties {
  const reader = new WireReader(bytes);
  const flags = reader.short();
  assertKnown(flags);
  const properties: Record<string, unknown> = {};
  for (const [name, flag] of PROPERTIES) if ((flags & flag) !== 0) properties[name] = readOne(reader, name);
  assertAtEnd(reader);
  return properties;
}

function readOne(reader: WireReader, name: PropertyName): unknown {
  if (name === "headers") return readTable(reader);
  if (name === "deliveryMode" || name === "priority") return reader.octet();
  return name === "timestamp" ? reader.longlong() : reader.shortText();
}

/** Texts have at most 255 bytes. */
export function writeProperties(properties: BasicProperties): Buffer {
  let size = 2;
  for (const [name] of PROPERTIES) size += sizeOf(name, properties[name]);
  const bytes = Buffer.allocUnsafe(size);
  let flags = 0;
  let at = 2;
  for (const [name, flag] of PROPERTIES) {
    const value = properties[name];
    if (value === undefined) continue;
    flags |= flag;
    at = writeOne(bytes, at, name, value);
  }
  bytes.writeUInt16BE(flags, 0);
  return bytes;
}

type PropertyValue = string | number | FieldTable;

function sizeOf(name: PropertyName, value: PropertyValue | undefined): number {
  if (value === undefined) return 0;
  if (typeof value === "string") return 1 + Buffer.byteLength(value);
  if (typeof value === "number") return name === "timestamp" ? 8 : 1;
  return tableSize(value);
}

function writeOne(bytes: Buffer, at: number, name: PropertyName, value: PropertyValue): number {
  if (typeof value === "string") {
    const size = bytes.write(value, at + 1);
    bytes[at] = size;
    return at + 1 + size;
  }
  if (typeof value !== "number") return writeTable(bytes, at, value);
  return name === "timestamp" ? bytes.writeBigUInt64BE(BigInt(value), at) : bytes.writeUInt8(value, at);
}

/**
 * Hot: where the properties of a message lie that mean something to the broker; an end of -1 is none. One is used for
 * message after message.
 */
export class PropertyPlaces {
  readonly contentType = new Place();
  readonly correlationId = new Place();
  readonly replyTo = new Place();
  readonly expiration = new Place();
  readonly messageId = new Place();
  readonly userId = new Place();
  /** The entries of the table, without its length. */
  readonly headers = new Place();
  deliveryMode = 0;
  priority = 0;
  private readonly reader = new WireReader(Buffer.alloc(0));

  /** Errors: as {@link readProperties}, but the table is not looked into. */
  find(bytes: Buffer): void {
    const { reader } = this;
    reader.bytes = bytes;
    reader.position = 0;
    reader.end = bytes.length;
    const flags = reader.short();
    assertKnown(flags);
    this.short(this.contentType, flags & 0x8000);
    if ((flags & 0x4000) !== 0) reader.skip(reader.octet());
    this.table(flags & 0x2000);
    this.deliveryMode = (flags & 0x1000) === 0 ? 0 : reader.octet();
    this.priority = (flags & 0x0800) === 0 ? 0 : reader.octet();
    this.short(this.correlationId, flags & 0x0400);
    this.short(this.replyTo, flags & 0x0200);
    this.short(this.expiration, flags & 0x0100);
    this.short(this.messageId, flags & 0x0080);
    if ((flags & 0x0040) !== 0) reader.skip(8);
    if ((flags & 0x0020) !== 0) reader.skip(reader.octet());
    this.short(this.userId, flags & 0x0010);
    if ((flags & 0x0008) !== 0) reader.skip(reader.octet());
    if ((flags & 0x0004) !== 0) reader.skip(reader.octet());
    assertAtEnd(reader);
  }

  private short(place: Place, flag: number): void {
    const { reader } = this;
    if (flag === 0) {
      place.end = -1;
      return;
    }
    place.start = reader.skip(reader.octet());
    place.end = reader.position;
  }

  private table(flag: number): void {
    const { reader, headers } = this;
    if (flag === 0) {
      headers.end = -1;
      return;
    }
    headers.start = reader.skip(reader.long());
    headers.end = reader.position;
  }
}

export class Place {
  start = 0;
  end = -1;

  get isThere(): boolean {
    return this.end >= 0;
  }

  textIn(bytes: Buffer): string | undefined {
    return this.end < 0 ? undefined : bytes.toString("utf8", this.start, this.end);
  }
}

function assertKnown(flags: number): void {
  if ((flags & UNKNOWN_FLAGS) !== 0)
    throw new ProtocolError("FRAME_ERROR", `property flags ${flags} name what there is not`);
}

function assertAtEnd(reader: WireReader): void {
  if (reader.position !== reader.end) throw new ProtocolError("FRAME_ERROR", "bytes after the last property");
}
