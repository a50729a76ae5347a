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

/** A message on its way to a client. */
export interface OutgoingContent {
  /** Exchange and routing key as two short strings, then property flags and list, as they were received. */
  readonly original: Uint8Array;
  /** Nobody may change it from now on. */
  readonly body: Uint8Array;
}

/** Hot: `basic.deliver` with its message. `frameMax` is what was negotiated, 0 for no limit. */
export function writeDeliver(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  consumerTag: Uint8Array,
  deliveryTag: number,
  isRedelivered: boolean,
  original: Uint8Array,
  body: Uint8Array,
): void {
  const addressBytes = addressSize(original);
  const tagBytes = consumerTag.length;
  const methodBytes = 4 + 1 + tagBytes + 8 + 1 + addressBytes;
  ensureContent(writer, methodBytes, original, addressBytes, body);
  const { buffer } = writer;
  let at = writeBasicStart(buffer, writer.at, channel, methodBytes, DELIVER);
  buffer[at] = tagBytes;
  at = copy(consumerTag, 0, tagBytes, buffer, at + 1);
  at = writeTag(buffer, at, deliveryTag);
  buffer[at] = isRedelivered ? 1 : 0;
  at = copy(original, 0, addressBytes, buffer, at + 1);
  buffer[at] = FRAME_END;
  writer.at = at + 1;
  writeContent(writer, channel, frameMax, original, addressBytes, body);
}

/** `basic.get-ok` with its message. `messageCount` is how many are left. */
export function writeGetOk(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  deliveryTag: number,
  isRedelivered: boolean,
  messageCount: number,
  original: Uint8Array,
  body: Uint8Array,
): void {
  const addressBytes = addressSize(original);
  const methodBytes = 4 + 8 + 1 + addressBytes + 4;
  ensureContent(writer, methodBytes, original, addressBytes, body);
  const { buffer } = writer;
  let at = writeBasicStart(buffer, writer.at, channel, methodBytes, GET_OK);
  at = writeTag(buffer, at, deliveryTag);
  buffer[at] = isRedelivered ? 1 : 0;
  at = copy(original, 0, addressBytes, buffer, at + 1);
  writeInt32(buffer, at, messageCount);
  buffer[at + 4] = FRAME_END;
  writer.at = at + 5;
  writeContent(writer, channel, frameMax, original, addressBytes, body);
}

/** `basic.return` with its message. */
export function writeReturn(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  replyCode: number,
  replyText: string,
  original: Uint8Array,
  body: Uint8Array,
): void {
  const addressBytes = addressSize(original);
  const textBytes = Buffer.byteLength(replyText);
  const methodBytes = 4 + 2 + 1 + textBytes + addressBytes;
  ensureContent(writer, methodBytes, original, addressBytes, body);
  const { buffer } = writer;
  let at = writeBasicStart(buffer, writer.at, channel, methodBytes, RETURN);
  at = buffer.writeUInt16BE(replyCode, at);
  buffer[at] = textBytes;
  at += 1 + buffer.write(replyText, at + 1);
  at = copy(original, 0, addressBytes, buffer, at);
  buffer[at] = FRAME_END;
  writer.at = at + 1;
  writeContent(writer, channel, frameMax, original, addressBytes, body);
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

/** Room for everything but a body that is not copied. */
function ensureContent(
  writer: SocketWriter,
  methodBytes: number,
  original: Uint8Array,
  addressBytes: number,
  body: Uint8Array,
): void {
  const copied = body.length <= COPIED_BODY_BYTES_MAX ? body.length : 0;
  writer.ensure(
    3 * FRAME_OVERHEAD_BYTES + methodBytes + CONTENT_HEADER_BYTES + original.length - addressBytes + copied,
  );
}

/** The header and the body of a message. */
function writeContent(
  writer: SocketWriter,
  channel: number,
  frameMax: number,
  original: Uint8Array,
  addressBytes: number,
  body: Uint8Array,
): void {
  const { buffer } = writer;
  const propertiesBytes = original.length - addressBytes;
  let at = writeFrameStart(buffer, writer.at, FRAME_HEADER, channel, CONTENT_HEADER_BYTES + propertiesBytes);
  writeInt32(buffer, at, BASIC << 16);
  writeTag(buffer, at + 4, body.length);
  at = copy(original, addressBytes, original.length, buffer, at + CONTENT_HEADER_BYTES);
  buffer[at] = FRAME_END;
  writer.at = at + 1;
  const pieceMax = frameMax === 0 ? body.length : frameMax - FRAME_OVERHEAD_BYTES;
  if (body.length > COPIED_BODY_BYTES_MAX || body.length > pieceMax)
    writeBodyInPieces(writer, channel, pieceMax, body);
  else if (body.length > 0) {
    at = writeFrameStart(buffer, writer.at, FRAME_BODY, channel, body.length);
    at = copy(body, 0, body.length, buffer, at);
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

/** Bytes of the two short strings at the beginning. */
export function addressSize(original: Uint8Array): number {
  const exchangeBytes = 1 + original[0]!;
  return exchangeBytes + 1 + original[exchangeBytes]!;
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
    target.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
    return at + size;
  }
  for (let i = 0; i < size; i += 1) target[at + i] = source[start + i]!;
  return at + size;
}
