// Field tables: names and typed values (AMQP 0-9-1, 4.2.5.5, with the types as RabbitMQ's errata have them).

import { ProtocolError } from "./protocol-error.js";
import { readText, type WireReader } from "./reader.js";

/**
 * A value with its type, named as in RabbitMQ's errors. 64-bit numbers are `bigint` where a number cannot hold them
 * exactly. Bytes are views of what was received, and live as long as it does.
 */
export type FieldValue =
  | { readonly type: "longstr" | "binary"; readonly value: Buffer }
  | { readonly type: "bool"; readonly value: boolean }
  | {
      readonly type:
        | "byte"
        | "unsignedbyte"
        | "short"
        | "unsignedshort"
        | "signedint"
        | "unsignedint"
        | "float"
        | "double";
      readonly value: number;
    }
  | { readonly type: "long" | "timestamp"; readonly value: number | bigint }
  | { readonly type: "decimal"; readonly value: { readonly scale: number; readonly digits: number } }
  | { readonly type: "table"; readonly value: FieldTable }
  | { readonly type: "array"; readonly value: readonly FieldValue[] }
  | { readonly type: "void"; readonly value: null };

/** Where a name came more than once, the first value. */
export type FieldTable = ReadonlyMap<string, FieldValue>;

export const NO_FIELDS: FieldTable = new Map();

/** Tables and arrays in one another: deeper ones are refused. */
const DEPTH_MAX = 64;

export function textField(text: string): FieldValue {
  return { type: "longstr", value: Buffer.from(text) };
}

/** Reads a table with its length. Errors: FRAME_ERROR, SYNTAX_ERROR for an unknown type, or what is nested too deeply. */
export function readTable(reader: WireReader, depth = 0): FieldTable {
  const size = reader.long();
  if (size === 0) return NO_FIELDS;
  const end = reader.skip(size) + size;
  const outerEnd = reader.end;
  reader.position = end - size;
  reader.end = end;
  const table = new Map<string, FieldValue>();
  while (reader.position < end) {
    const nameSize = reader.octet();
    const nameStart = reader.skip(nameSize);
    const name = readText(reader.bytes, nameStart, nameStart + nameSize);
    const value = readValue(reader, depth);
    if (!table.has(name)) table.set(name, value);
  }
  reader.end = outerEnd;
  return table;
}

function readArray(reader: WireReader, depth: number): FieldValue[] {
  const size = reader.long();
  const end = reader.skip(size) + size;
  const outerEnd = reader.end;
  reader.position = end - size;
  reader.end = end;
  const values: FieldValue[] = [];
  while (reader.position < end) values.push(readValue(reader, depth));
  reader.end = outerEnd;
  return values;
}

function readValue(reader: WireReader, depth: number): FieldValue {
  const tag = reader.octet();
  const read = readers[String.fromCharCode(tag)];
  if (read === undefined)
    throw new ProtocolError("SYNTAX_ERROR", `unknown type ${tag} of a value in a field table`);
  if (depth >= DEPTH_MAX)
    throw new ProtocolError("SYNTAX_ERROR", `field tables are nested more than ${DEPTH_MAX} deep`);
  return read(reader, depth + 1);
}

const readers: Readonly<Record<string, (reader: WireReader, depth: number) => FieldValue>> = {
  S: (reader) => ({ type: "longstr", value: reader.longBytes() }),
  x: (reader) => ({ type: "binary", value: reader.longBytes() }),
  t: (reader) => ({ type: "bool", value: reader.octet() !== 0 }),
  b: (reader) => ({ type: "byte", value: reader.bytes.readInt8(reader.skip(1)) }),
  B: (reader) => ({ type: "unsignedbyte", value: reader.octet() }),
  s: (reader) => ({ type: "short", value: reader.bytes.readInt16BE(reader.skip(2)) }),
  u: (reader) => ({ type: "unsignedshort", value: reader.short() }),
  I: (reader) => ({ type: "signedint", value: reader.bytes.readInt32BE(reader.skip(4)) }),
  i: (reader) => ({ type: "unsignedint", value: reader.long() }),
  l: (reader) => ({ type: "long", value: exact(reader.bytes.readBigInt64BE(reader.skip(8))) }),
  // Signed as well in RabbitMQ, whatever the specification says.
  L: (reader) => ({ type: "long", value: exact(reader.bytes.readBigInt64BE(reader.skip(8))) }),
  T: (reader) => ({ type: "timestamp", value: exact(reader.bytes.readBigUInt64BE(reader.skip(8))) }),
  f: (reader) => ({ type: "float", value: reader.bytes.readFloatBE(reader.skip(4)) }),
  d: (reader) => ({ type: "double", value: reader.bytes.readDoubleBE(reader.skip(8)) }),
  D: (reader) => ({ type: "decimal", value: { scale: reader.octet(), digits: reader.long() } }),
  F: (reader, depth) => ({ type: "table", value: readTable(reader, depth) }),
  A: (reader, depth) => ({ type: "array", value: readArray(reader, depth) }),
  V: () => ({ type: "void", value: null }),
};

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Bytes of the table with its length. */
export function tableSize(table: FieldTable): number {
  let size = 4;
  for (const [name, value] of table) size += 1 + Buffer.byteLength(name) + valueSize(value);
  return size;
}

/** Writes the table with its length, and returns where it ends. Names have at most 255 bytes. */
export function writeTable(target: Buffer, at: number, table: FieldTable): number {
  let position = at + 4;
  for (const [name, value] of table) {
    const size = target.write(name, position + 1);
    target[position] = size;
    position = writeValue(target, position + 1 + size, value);
  }
  target.writeUInt32BE(position - at - 4, at);
  return position;
}

/** Bytes of the value with its type. */
function valueSize(field: FieldValue): number {
  switch (field.type) {
    case "longstr":
    case "binary":
      return 5 + field.value.length;
    case "table":
      return 1 + tableSize(field.value);
    case "array":
      return field.value.reduce((size, value) => size + valueSize(value), 5);
    default:
      return 1 + FIXED_SIZES[field.type];
  }
}

const FIXED_SIZES = {
  bool: 1,
  byte: 1,
  unsignedbyte: 1,
  short: 2,
  unsignedshort: 2,
  signedint: 4,
  unsignedint: 4,
  long: 8,
  timestamp: 8,
  float: 4,
  double: 8,
  decimal: 5,
  void: 0,
};

const TAGS: Readonly<Record<FieldValue["type"], number>> = {
  longstr: "S".charCodeAt(0),
  binary: "x".charCodeAt(0),
  bool: "t".charCodeAt(0),
  byte: "b".charCodeAt(0),
  unsignedbyte: "B".charCodeAt(0),
  short: "s".charCodeAt(0),
  unsignedshort: "u".charCodeAt(0),
  signedint: "I".charCodeAt(0),
  unsignedint: "i".charCodeAt(0),
  long: "l".charCodeAt(0),
  timestamp: "T".charCodeAt(0),
  float: "f".charCodeAt(0),
  double: "d".charCodeAt(0),
  decimal: "D".charCodeAt(0),
  table: "F".charCodeAt(0),
  array: "A".charCodeAt(0),
  void: "V".charCodeAt(0),
};

function writeValue(target: Buffer, at: number, field: FieldValue): number {
  const position = target.writeUInt8(TAGS[field.type], at);
  switch (field.type) {
    case "longstr":
    case "binary":
      target.writeUInt32BE(field.value.length, position);
      target.set(field.value, position + 4);
      return position + 4 + field.value.length;
    case "table":
      return writeTable(target, position, field.value);
    case "array":
      return writeArray(target, position, field.value);
    case "bool":
      return target.writeUInt8(field.value ? 1 : 0, position);
    case "decimal":
      target.writeUInt8(field.value.scale, position);
      return target.writeUInt32BE(field.value.digits, position + 1);
    case "void":
      return position;
    default:
      return writeNumber(target, position, field);
  }
}

type NumberField = Extract<FieldValue, { readonly value: number | bigint }>;

function writeNumber(target: Buffer, at: number, { type, value }: NumberField): number {
  switch (type) {
    case "byte":
      return target.writeInt8(value, at);
    case "unsignedbyte":
      return target.writeUInt8(value, at);
    case "short":
      return target.writeInt16BE(value, at);
    case "unsignedshort":
      return target.writeUInt16BE(value, at);
    case "signedint":
      return target.writeInt32BE(value, at);
    case "unsignedint":
      return target.writeUInt32BE(value, at);
    case "float":
      return target.writeFloatBE(value, at);
    case "double":
      return target.writeDoubleBE(value, at);
    case "long":
      return target.writeBigInt64BE(BigInt(value), at);
    case "timestamp":
      return target.writeBigUInt64BE(BigInt(value), at);
  }
}

function writeArray(target: Buffer, at: number, values: readonly FieldValue[]): number {
  let position = at + 4;
  for (const value of values) position = writeValue(target, position, value);
  target.writeUInt32BE(position - at - 4, at);
  return position;
}
