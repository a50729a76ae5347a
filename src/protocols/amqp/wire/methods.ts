// Every method of AMQP 0-9-1 and of RabbitMQ's extensions as a row of data: its numbers and its fields. From a row come
// its type, its decoding and its encoding. What happens per message has its own way, in `frames.ts` and `basic.ts`.

import { type FieldTable, NO_FIELDS, readTable, tableSize, writeTable } from "./fields.js";
import { ProtocolError } from "./protocol-error.js";
import { WireReader } from "./reader.js";

/** How a field is encoded; `bit`s that follow each other share octets, the first in the lowest bit. */
interface FieldTypes {
  readonly bit: boolean;
  readonly octet: number;
  readonly short: number;
  readonly long: number;
  /** Exact up to 2^53. */
  readonly longlong: number;
  readonly shortstr: string;
  /** A view of what was received. */
  readonly longstr: Buffer;
  readonly table: FieldTable;
}

type FieldType = keyof FieldTypes;

interface MethodRow {
  readonly id: readonly [classId: number, methodId: number];
  readonly fields: Readonly<Record<string, FieldType>>;
}

const exchangeBinding = {
  ticket: "short",
  destination: "shortstr",
  source: "shortstr",
  routingKey: "shortstr",
  noWait: "bit",
  arguments: "table",
} as const;

const closing = { replyCode: "short", replyText: "shortstr", classId: "short", methodId: "short" } as const;
const tuning = { channelMax: "short", frameMax: "long", heartbeat: "short" } as const;

/** The order of the fields is that of the wire. */
export const METHODS = {
  "connection.start": {
    id: [10, 10],
    fields: {
      versionMajor: "octet",
      versionMinor: "octet",
      serverProperties: "table",
      mechanisms: "longstr",
      locales: "longstr",
    },
  },
  "connection.start-ok": {
    id: [10, 11],
    fields: { clientProperties: "table", mechanism: "shortstr", response: "longstr", locale: "shortstr" },
  },
  "connection.secure": { id: [10, 20], fields: { challenge: "longstr" } },
  "connection.secure-ok": { id: [10, 21], fields: { response: "longstr" } },
  "connection.tune": { id: [10, 30], fields: tuning },
  "connection.tune-ok": { id: [10, 31], fields: tuning },
  "connection.open": {
    id: [10, 40],
    fields: { virtualHost: "shortstr", capabilities: "shortstr", insist: "bit" },
  },
  "connection.open-ok": { id: [10, 41], fields: { knownHosts: "shortstr" } },
  "connection.close": { id: [10, 50], fields: closing },
  "connection.close-ok": { id: [10, 51], fields: {} },
  "connection.blocked": { id: [10, 60], fields: { reason: "shortstr" } },
  "connection.unblocked": { id: [10, 61], fields: {} },
  "connection.update-secret": { id: [10, 70], fields: { newSecret: "longstr", reason: "shortstr" } },
  "connection.update-secret-ok": { id: [10, 71], fields: {} },
  "channel.open": { id: [20, 10], fields: { outOfBand: "shortstr" } },
  "channel.open-ok": { id: [20, 11], fields: { channelId: "longstr" } },
  "channel.flow": { id: [20, 20], fields: { active: "bit" } },
  "channel.flow-ok": { id: [20, 21], fields: { active: "bit" } },
  "channel.close": { id: [20, 40], fields: closing },
  "channel.close-ok": { id: [20, 41], fields: {} },
  "access.request": {
    id: [30, 10],
    fields: {
      realm: "shortstr",
      exclusive: "bit",
      passive: "bit",
      active: "bit",
      write: "bit",
      read: "bit",
    },
  },
  "access.request-ok": { id: [30, 11], fields: { ticket: "short" } },
  "exchange.declare": {
    id: [40, 10],
    fields: {
      ticket: "short",
      exchange: "shortstr",
      type: "shortstr",
      passive: "bit",
      durable: "bit",
      autoDelete: "bit",
      internal: "bit",
      noWait: "bit",
      arguments: "table",
    },
  },
  "exchange.declare-ok": { id: [40, 11], fields: {} },
  "exchange.delete": {
    id: [40, 20],
    fields: { ticket: "short", exchange: "shortstr", ifUnused: "bit", noWait: "bit" },
  },
  "exchange.delete-ok": { id: [40, 21], fields: {} },
  "exchange.bind": { id: [40, 30], fields: exchangeBinding },
  "exchange.bind-ok": { id: [40, 31], fields: {} },
  "exchange.unbind": { id: [40, 40], fields: exchangeBinding },
  "exchange.unbind-ok": { id: [40, 51], fields: {} },
  "queue.declare": {
    id: [50, 10],
    fields: {
      ticket: "short",
      queue: "shortstr",
      passive: "bit",
      durable: "bit",
      exclusive: "bit",
      autoDelete: "bit",
      noWait: "bit",
      arguments: "table",
    },
  },
  "queue.declare-ok": {
    id: [50, 11],
    fields: { queue: "shortstr", messageCount: "long", consumerCount: "long" },
  },
  "queue.bind": {
    id: [50, 20],
    fields: {
      ticket: "short",
      queue: "shortstr",
      exchange: "shortstr",
      routingKey: "shortstr",
      noWait: "bit",
      arguments: "table",
    },
  },
  "queue.bind-ok": { id: [50, 21], fields: {} },
  "queue.purge": { id: [50, 30], fields: { ticket: "short", queue: "shortstr", noWait: "bit" } },
  "queue.purge-ok": { id: [50, 31], fields: { messageCount: "long" } },
  "queue.delete": {
    id: [50, 40],
    fields: { ticket: "short", queue: "shortstr", ifUnused: "bit", ifEmpty: "bit", noWait: "bit" },
  },
  "queue.delete-ok": { id: [50, 41], fields: { messageCount: "long" } },
  "queue.unbind": {
    id: [50, 50],
    fields: {
      ticket: "short",
      queue: "shortstr",
      exchange: "shortstr",
      routingKey: "shortstr",
      arguments: "table",
    },
  },
  "queue.unbind-ok": { id: [50, 51], fields: {} },
  "basic.qos": { id: [60, 10], fields: { prefetchSize: "long", prefetchCount: "short", global: "bit" } },
  "basic.qos-ok": { id: [60, 11], fields: {} },
  "basic.consume": {
    id: [60, 20],
    fields: {
      ticket: "short",
      queue: "shortstr",
      consumerTag: "shortstr",
      noLocal: "bit",
      noAck: "bit",
      exclusive: "bit",
      noWait: "bit",
      arguments: "table",
    },
  },
  "basic.consume-ok": { id: [60, 21], fields: { consumerTag: "shortstr" } },
  "basic.cancel": { id: [60, 30], fields: { consumerTag: "shortstr", noWait: "bit" } },
  "basic.cancel-ok": { id: [60, 31], fields: { consumerTag: "shortstr" } },
  "basic.publish": {
    id: [60, 40],
    fields: {
      ticket: "short",
      exchange: "shortstr",
      routingKey: "shortstr",
      mandatory: "bit",
      immediate: "bit",
    },
  },
  "basic.return": {
    id: [60, 50],
    fields: { replyCode: "short", replyText: "shortstr", exchange: "shortstr", routingKey: "shortstr" },
  },
  "basic.deliver": {
    id: [60, 60],
    fields: {
      consumerTag: "shortstr",
      deliveryTag: "longlong",
      redelivered: "bit",
      exchange: "shortstr",
      routingKey: "shortstr",
    },
  },
  "basic.get": { id: [60, 70], fields: { ticket: "short", queue: "shortstr", noAck: "bit" } },
  "basic.get-ok": {
    id: [60, 71],
    fields: {
      deliveryTag: "longlong",
      redelivered: "bit",
      exchange: "shortstr",
      routingKey: "shortstr",
      messageCount: "long",
    },
  },
  "basic.get-empty": { id: [60, 72], fields: { clusterId: "shortstr" } },
  "basic.ack": { id: [60, 80], fields: { deliveryTag: "longlong", multiple: "bit" } },
  "basic.reject": { id: [60, 90], fields: { deliveryTag: "longlong", requeue: "bit" } },
  "basic.recover-async": { id: [60, 100], fields: { requeue: "bit" } },
  "basic.recover": { id: [60, 110], fields: { requeue: "bit" } },
  "basic.recover-ok": { id: [60, 111], fields: {} },
  "basic.nack": { id: [60, 120], fields: { deliveryTag: "longlong", multiple: "bit", requeue: "bit" } },
  "confirm.select": { id: [85, 10], fields: { noWait: "bit" } },
  "confirm.select-ok": { id: [85, 11], fields: {} },
  "tx.select": { id: [90, 10], fields: {} },
  "tx.select-ok": { id: [90, 11], fields: {} },
  "tx.commit": { id: [90, 20], fields: {} },
  "tx.commit-ok": { id: [90, 21], fields: {} },
  "tx.rollback": { id: [90, 30], fields: {} },
  "tx.rollback-ok": { id: [90, 31], fields: {} },
} as const satisfies Readonly<Record<string, MethodRow>>;

export type MethodName = keyof typeof METHODS;

/** The fields of a method, without its name. */
export type MethodFields<N extends MethodName> = {
  readonly [F in keyof (typeof METHODS)[N]["fields"]]: (typeof METHODS)[N]["fields"][F] extends FieldType
    ? FieldTypes[(typeof METHODS)[N]["fields"][F]]
    : never;
};

/** A method of one name, or of any: `name` tells which. */
export type Method<N extends MethodName = MethodName> = {
  [K in N]: { readonly name: K } & MethodFields<K>;
}[N];

/** A row in the form that decoding and encoding go through. */
interface Codec {
  readonly name: MethodName;
  readonly classId: number;
  readonly methodId: number;
  readonly fields: readonly (readonly [name: string, type: FieldType])[];
}

const codecsByName = new Map<string, Codec>();
const codecsById = new Map<number, Codec>();
for (const [name, { id, fields }] of Object.entries(METHODS)) {
  const [classId, methodId] = id;
  const codec: Codec = { name: name as MethodName, classId, methodId, fields: Object.entries(fields) };
  codecsByName.set(name, codec);
  codecsById.set((classId << 16) | methodId, codec);
}

/** The numbers of a method, as `connection.close` and `channel.close` name the one that failed. */
export function methodId(name: MethodName): readonly [classId: number, methodId: number] {
  return METHODS[name].id;
}

/**
 * Reads the method in `bytes[start, end)`, its numbers first, which have to be there. `longstr` fields are views. Errors: COMMAND_INVALID when
 * there is no such method, FRAME_ERROR when its fields cannot be read, SYNTAX_ERROR for a field table that cannot.
 */
export function readMethod(bytes: Buffer, start: number, end: number): Method {
  const classId = bytes.readUInt16BE(start);
  const method = bytes.readUInt16BE(start + 2);
  const codec = codecsById.get((classId << 16) | method);
  if (codec === undefined)
    throw new ProtocolError("COMMAND_INVALID", `unknown method ${method} of class ${classId}`);
  const reader = new WireReader(bytes, start + 4, end);
  const fields: Record<string, unknown> = { name: codec.name };
  let bits = 0;
  let bitsUsed = 0;
  for (const [name, type] of codec.fields) {
    if (type !== "bit") {
      bitsUsed = 0;
      fields[name] = readField(reader, type);
      continue;
    }
    if (bitsUsed % 8 === 0) bits = reader.octet();
    fields[name] = (bits & (1 << (bitsUsed % 8))) !== 0;
    bitsUsed += 1;
  }
  reader.assertAtEnd();
  return fields as unknown as Method;
}

function readField(reader: WireReader, type: Exclude<FieldType, "bit">): unknown {
  switch (type) {
    case "octet":
      return reader.octet();
    case "short":
      return reader.short();
    case "long":
      return reader.long();
    case "longlong":
      return reader.longlong();
    case "shortstr":
      return reader.shortText();
    case "longstr":
      return reader.longBytes();
    case "table":
      return readTable(reader);
  }
}

/** Bytes of the method with its numbers. */
export function methodSize<N extends MethodName>(name: N, values: MethodFields<N>): number {
  const given = values as Readonly<Record<string, unknown>>;
  let size = 4;
  let bitsUsed = 0;
  for (const [field, type] of codecsByName.get(name)!.fields) {
    if (type === "bit") {
      if (bitsUsed % 8 === 0) size += 1;
      bitsUsed += 1;
      continue;
    }
    bitsUsed = 0;
    size += fieldSize(type, given[field]);
  }
  return size;
}

function fieldSize(type: Exclude<FieldType, "bit">, value: unknown): number {
  switch (type) {
    case "octet":
      return 1;
    case "short":
      return 2;
    case "long":
      return 4;
    case "longlong":
      return 8;
    case "shortstr":
      return 1 + Buffer.byteLength(value as string);
    case "longstr":
      return 4 + (value as Buffer).length;
    case "table":
      return tableSize((value ?? NO_FIELDS) as FieldTable);
  }
}

/** Writes a method with its numbers, and returns where it ends. Short strings have at most 255 bytes. */
export function writeMethod<N extends MethodName>(
  target: Buffer,
  at: number,
  name: N,
  values: MethodFields<N>,
): number {
  const codec = codecsByName.get(name)!;
  const given = values as Readonly<Record<string, unknown>>;
  target.writeUInt16BE(codec.classId, at);
  let position = target.writeUInt16BE(codec.methodId, at + 2);
  let bitsUsed = 0;
  for (const [field, type] of codec.fields) {
    if (type !== "bit") {
      bitsUsed = 0;
      position = writeField(target, position, type, given[field]);
      continue;
    }
    if (bitsUsed % 8 === 0) position = target.writeUInt8(0, position);
    if (given[field] === true) target[position - 1]! |= 1 << (bitsUsed % 8);
    bitsUsed += 1;
  }
  return position;
}

function writeField(target: Buffer, at: number, type: Exclude<FieldType, "bit">, value: unknown): number {
  switch (type) {
    case "octet":
      return target.writeUInt8(value as number, at);
    case "short":
      return target.writeUInt16BE(value as number, at);
    case "long":
      return target.writeUInt32BE(value as number, at);
    case "longlong":
      return target.writeBigUInt64BE(BigInt(value as number), at);
    case "shortstr":
      return writeShortText(target, at, value as string);
    case "longstr":
      target.set(value as Buffer, target.writeUInt32BE((value as Buffer).length, at));
      return at + 4 + (value as Buffer).length;
    case "table":
      return writeTable(target, at, value as FieldTable);
  }
}

function writeShortText(target: Buffer, at: number, text: string): number {
  const size = target.write(text, at + 1);
  // Our own texts are short enough; a longer one would spoil every frame after it.
  if (size > 255) throw new RangeError(`'${text}' has more than 255 bytes`);
  target[at] = size;
  return at + 1 + size;
}
