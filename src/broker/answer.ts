// Answers: what became of a message, published live to the subject that the message names. They wait for nothing that is
// stored, and are gone when nobody is there to take them.

import { encodeHeaders, type Header } from "../log/record-headers.js";
import { CONTENT_TYPE_HEADER, CORRELATION_HEADER, type OutgoingMessage, REPLY_TO_HEADER } from "./message.js";

/** `value`, `nothing`, or `failed`: see {@link AnswerKind}. */
const ANSWER_HEADER = "omnibus-answer";
/** The queue, or `topic/group`, for which the message was handled. */
const ANSWERED_BY_HEADER = "omnibus-answered-by";
/** What went wrong, of an answer that says `failed`. */
const ERROR_HEADER = "omnibus-error";

/** The body is the answer; the message was handled and that is all; it was given up. */
export type AnswerKind = "value" | "nothing" | "failed";

/** What is said beside the body. */
export interface Answer {
  readonly kind: AnswerKind;
  /** The queue, or `topic/group`; empty when whoever answered does not say. */
  readonly by: string;
  readonly error: string | undefined;
}

/** A message, as far as answering it goes. */
interface Asking {
  header(name: string): Buffer | undefined;
}

/** The answer to `asked`; undefined when it asks for none. */
export function answerTo(
  asked: Asking,
  { kind, by, error }: Answer,
  content: {
    readonly body: string | Uint8Array | null;
    readonly contentType: string | undefined;
    readonly timestampMs: number;
  },
): OutgoingMessage | undefined {
  const subject = asked.header(REPLY_TO_HEADER)?.toString("utf8");
  if (subject === undefined) return undefined;
  const { body, contentType, timestampMs } = content;
  const headers: Header[] = [
    [ANSWER_HEADER, kind],
    [ANSWERED_BY_HEADER, by],
  ];
  const correlationId = asked.header(CORRELATION_HEADER);
  if (correlationId !== undefined) headers.push([CORRELATION_HEADER, correlationId]);
  if (error !== undefined) headers.push([ERROR_HEADER, error]);
  if (contentType !== undefined) headers.push([CONTENT_TYPE_HEADER, contentType]);
  return {
    subject,
    key: null,
    value: body,
    headers: encodeHeaders(headers),
    timestampMs,
    expiresAtMs: 0,
  };
}

/** What an answer says; one that says nothing of the kind, because it comes from elsewhere, is a value. */
export function answerOf(answer: Asking): Answer {
  const kind = textOf(answer, ANSWER_HEADER);
  return {
    kind: kind === "nothing" || kind === "failed" ? kind : "value",
    by: textOf(answer, ANSWERED_BY_HEADER) ?? "",
    error: textOf(answer, ERROR_HEADER),
  };
}

function textOf(message: Asking, header: string): string | undefined {
  return message.header(header)?.toString("utf8");
}
