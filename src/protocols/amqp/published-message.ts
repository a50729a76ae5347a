// A message on its way to the broker.

import { EXPIRES_AT_HEADER, type OutgoingMessage, READY_AT_HEADER } from "../../broker/message.js";
import { appendHeaders, type EncodedHeaders, type Header } from "../../log/record-headers.js";
import type { Envelope } from "./envelope.js";

/** Hot: one object a message. */
export class PublishedMessage implements OutgoingMessage {
  readonly subject: string;
  /** What a consistent-hash exchange chooses by is the subject. */
  readonly key: null;
  readonly value: Uint8Array;
  readonly headers: EncodedHeaders;
  readonly expiresAtMs: number;
  readonly timestampMs: number;
  readonly id: string | undefined;
  readonly priority: number;

  constructor(envelope: Envelope, body: Uint8Array, nowMs: number, isDelayed: boolean) {
    const { expiresAfterMs } = envelope;
    const delayMs = isDelayed ? envelope.delayMs : 0;
    this.subject = envelope.subject;
    this.key = null;
    this.value = body;
    this.expiresAtMs = expiresAfterMs === undefined ? 0 : nowMs + delayMs + expiresAfterMs;
    this.headers =
      this.expiresAtMs === 0 && delayMs === 0
        ? envelope.headers
        : withTimes(envelope.headers, this.expiresAtMs, delayMs === 0 ? 0 : nowMs + delayMs);
    this.timestampMs = nowMs;
    this.id = envelope.id;
    this.priority = envelope.priority;
  }
}

function withTimes(headers: EncodedHeaders, expiresAtMs: number, readyAtMs: number): EncodedHeaders {
  const times: Header[] = [];
  if (expiresAtMs !== 0) times.push([EXPIRES_AT_HEADER, String(expiresAtMs)]);
  if (readyAtMs !== 0) times.push([READY_AT_HEADER, String(readyAtMs)]);
  return appendHeaders(headers, times);
}
