// Frames of what happens per message, and of any method, written straight into a socket's writer.

import { writeInt32 } from "../../../bytes/cursor.js";
import type { SocketWriter } from "../../../network/socket-writer.js";
import {
  CONTENT_HEADER_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
} from "./frames.js";
import { type MethodFields, type MethodName, methodSize, writeMethod } from "./methods.js";

const NO_BYTES = Buffer.alloc(0);
const BASIC = 60;
const RETURN = 50;
const DELIVER = 60;
const GET_OK = 71;
const ACK = 80;
const NACK = 120;
const TWO_32 = 2 ** 32;
/** Smaller pieces are copied byte by byte, which costs less than a call into the runtime. */
const BY_HAND_BYTES_MAX = 48;
/** A larger body is not copied, but given to the socket as it is. */
const COPIED_BODY_BYTES_MAX = 16 * 1024;

/** Writes the frame of a method. */
export function writeMethodFrame<N extends MethodName>(
  writer: SocketWriter,
  channel: number,
  name: N,
  fields: MethodFields<N>,
): void {
  const size = methodSize(name, fields);
  writer.ensure(FRAME_OVERHEAD_BYTES + size);
  const { buffer } = writer;
  const at = writeFrameStart(buffer, writer.at, FRAME_METHOD, channel, size);
  const end = writeMethod(buffer, at, name, fields);
  buffer[end] = FRAME_END;
  writer.at = end + 1;
}

/**
 * Where the parts of a message lie that is on its way to a client. Nobody may change the bytes from then on.
 *
 * Hot: one is used for many messages, so that no view of their parts is made.
 */
export class OutgoingContent {
  /** Exchange and routing key as two short strings, then property flags and list, as they were received. */
  original: Uint8Array;
  originalStart: number;
  originalEnd: number;
  body: Uint8Array;
  bodyStart: number;
  bodyEnd: number;

  constructor() {
    this.original = NO_BYTES;
    this.originalStart = 0;
    this.originalEnd = 0;
    this.body = NO_BYTES;
    this.bodyStart = 0;
    this.bodyEnd = 0;
  }

  setOriginal(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    this.original = bytes;
    this.originalStart = start;
    this.originalEnd = end;
  }

  setBody(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    this.body = bytes;
    this.bodyStart = start;
    this.bodyEnd = end;
  }
}

/** Hot: `basic.deliver` with its message. `frameMax` is what was negotiated, 0 for no limit. */
export function writeDeliver(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  consumerTag: Uint8Array,
  deliveryTag: number,
  isRedelivered: boolean,
  content: OutgoingContent,
): void {
  const addressBytes = addressSize(content.original, content.originalStart);
  const tagBytes = consumerTag.length;
  const methodBytes = 4 + 1 + tagBytes + 8 + 1 + addressBytes;
  ensureContent(writer, methodBytes - addressBytes, content);
  const { buffer } = writer;
  let at = writeBasicStart(buffer, writer.at, channel, methodBytes, DELIVER);
  buffer[at] = tagBytes;
  at = copy(consumerTag, 0, tagBytes, buffer, at + 1);
  at = writeTag(buffer, at, deliveryTag);
  buffer[at] = isRedelivered ? 1 : 0;
  at = copyAddress(content, addressBytes, buffer, at + 1);
  buffer[at] = FRAME_END;
  writer.at = at + 1;
  writeContent(writer, channel, frameMax, content, addressBytes);
}

/** `basic.get-ok` with its message. `messageCount` is how many are left. */
export function writeGetOk(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  deliveryTag: number,
  isRedelivered: boolean,
  messageCount: number,
  content: OutgoingContent,
): void {
  const addressBytes = addressSize(content.original, content.originalStart);
  const methodBytes = 4 + 8 + 1 + addressBytes + 4;
  ensureContent(writer, methodBytes - addressBytes, content);
  const { buffer } = writer;
  let at = writeBasicStart(buffer, writer.at, channel, methodBytes, GET_OK);
  at = writeTag(buffer, at, deliveryTag);
  buffer[at] = isRedelivered ? 1 : 0;
  at = copyAddress(content, addressBytes, buffer, at + 1);
  writeInt32(buffer, at, messageCount);
  buffer[at + 4] = FRAME_END;
  writer.at = at + 5;
  writeContent(writer, channel, frameMax, content, addressBytes);
}

/** `basic.return` with its message. */
export function writeReturn(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  replyCode: number,
  replyText: string,
  content: OutgoingContent,
): void {
  const addressBytes = addressSize(content.original, content.originalStart);
  const textBytes = Buffer.byteLength(replyText);
  const methodBytes = 4 + 2 + 1 + textBytes + addressBytes;
  ensureContent(writer, methodBytes - addressBytes, content);
  const { buffer } = writer;
  let at = writeBasicStart(buffer, writer.at, channel, methodBytes, RETURN);
  at = buffer.writeUInt16BE(replyCode, at);
  buffer[at] = textBytes;
  at += 1 + buffer.write(replyText, at + 1);
  at = copyAddress(content, addressBytes, buffer, at);
  buffer[at] = FRAME_END;
  writer.at = at + 1;
  writeContent(writer, channel, frameMax, content, addressBytes);
}

/** Hot: confirms what was published. */
export function writeAck(
  writer: SocketWriter,
  channel: number,
  deliveryTag: number,
  isMultiple: boolean,
): void {
  writeConfirm(writer, channel, ACK, deliveryTag, isMultiple);
}

/** Tells that what was published was not taken. */
export function writeNack(
  writer: SocketWriter,
  channel: number,
  deliveryTag: number,
  isMultiple: boolean,
): void {
  writeConfirm(writer, channel, NACK, deliveryTag, isMultiple);
}

function writeConfirm(
  writer: SocketWriter,
  channel: number,
  method: number,
  deliveryTag: number,
  isMultiple: boolean,
): void {
  writer.ensure(FRAME_OVERHEAD_BYTES + 13);
  const { buffer } = writer;
  const at = writeTag(buffer, writeBasicStart(buffer, writer.at, channel, 13, method), deliveryTag);
  buffer[at] = isMultiple ? 1 : 0;
  buffer[at + 1] = FRAME_END;
  writer.at = at + 2;
}

/** Room for everything but a body that is not copied. `methodBytes` are those of the method without the address. */
function ensureContent(writer: SocketWriter, methodBytes: number, content: OutgoingContent): void {
  const { originalStart, originalEnd, bodyStart, bodyEnd } = content;
  const bodyBytes = bodyEnd - bodyStart;
  const copied = bodyBytes <= COPIED_BODY_BYTES_MAX ? bodyBytes : 0;
  const originalBytes = originalEnd - originalStart;
  writer.ensure(3 * FRAME_OVERHEAD_BYTES + methodBytes + CONTENT_HEADER_BYTES + originalBytes + copied);
}

/** Hot: returns where the copy ends. */
function copyAddress(
  { original, originalStart }: OutgoingContent,
  addressBytes: number,
  target: Buffer,
  at: number,
): number {
  return copy(original, originalStart, originalStart + addressBytes, target, at);
}

/** The header and the body of a message. */
function writeContent(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  content: OutgoingContent,
  addressBytes: number,
): void {
  const { buffer } = writer;
  const { original, originalEnd, body, bodyStart, bodyEnd } = content;
  const propertiesStart = content.originalStart + addressBytes;
  const bodyBytes = bodyEnd - bodyStart;
  const headerBytes = CONTENT_HEADER_BYTES + originalEnd - propertiesStart;
  let at = writeFrameStart(buffer, writer.at, FRAME_HEADER, channel, headerBytes);
  writeInt32(buffer, at, BASIC << 16);
  writeTag(buffer, at + 4, bodyBytes);
  at = copy(original, propertiesStart, originalEnd, buffer, at + CONTENT_HEADER_BYTES);
  buffer[at] = FRAME_END;
  writer.at = at + 1;
  const pieceMax = frameMax === 0 ? bodyBytes : frameMax - FRAME_OVERHEAD_BYTES;
  if (bodyBytes > COPIED_BODY_BYTES_MAX || bodyBytes > pieceMax)
    writeBodyInPieces(writer, channel, pieceMax, body.subarray(bodyStart, bodyEnd));
  else if (bodyBytes > 0) {
    at = writeFrameStart(buffer, writer.at, FRAME_BODY, channel, bodyBytes);
    at = copy(body, bodyStart, bodyEnd, buffer, at);
    buffer[at] = FRAME_END;
    writer.at = at + 1;
  }
}

function writeBodyInPieces(writer: SocketWriter, channel: number, pieceMax: number, body: Uint8Array): void {
  for (let start = 0; start < body.length; start += pieceMax) {
    const piece = body.subarray(start, Math.min(body.length, start + pieceMax));
    writer.ensure(FRAME_OVERHEAD_BYTES);
    writer.at = writeFrameStart(writer.buffer, writer.at, FRAME_BODY, channel, piece.length);
    writer.view(piece);
    writer.ensure(1);
    writer.buffer[writer.at] = FRAME_END;
    writer.at += 1;
  }
}

/** Bytes of the two short strings at `start`. */
export function addressSize(original: Uint8Array, start = 0): number {
  const exchangeBytes = 1 + original[start]!;
  return exchangeBytes + 1 + original[start + exchangeBytes]!;
}

function writeBasicStart(
  buffer: Buffer,
  at: number,
  channel: number,
  sizeBytes: number,
  method: number,
): number {
  const position = writeFrameStart(buffer, at, FRAME_METHOD, channel, sizeBytes);
  writeInt32(buffer, position, (BASIC << 16) | method);
  return position + 4;
}

function writeFrameStart(
  buffer: Buffer,
  at: number,
  type: number,
  channel: number,
  sizeBytes: number,
): number {
  buffer[at] = type;
  buffer[at + 1] = channel >>> 8;
  buffer[at + 2] = channel;
  writeInt32(buffer, at + 3, sizeBytes);
  return at + 7;
}

/** 64 bits, of which a number holds 53. */
function writeTag(buffer: Buffer, at: number, value: number): number {
  const high = Math.floor(value / TWO_32);
  writeInt32(buffer, at, high);
  writeInt32(buffer, at + 4, value - high * TWO_32);
  return at + 8;
}

/** Hot. Returns where the copy ends. */
function copy(source: Uint8Array, start: number, end: number, target: Buffer, at: number): number {
  const size = end - start;
  if (size > BY_HAND_BYTES_MAX) {
    target.set(new Uint8Array(source.buffer, source.byteOffset + start, size), at);
    return at + size;
  }
  for (let i = 0; i < size; i += 1) target[at + i] = source[start + i]!;
  return at + size;
}
