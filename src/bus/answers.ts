// Answering whoever asked with `request` or `gather`, once it is known what became of the message.

import { type Answer, answerTo } from "../broker/answer.js";
import { EXPIRES_AT_HEADER, REPLY_TO_HEADER } from "../broker/message.js";
import type { Engine, EngineRecord } from "../engines/engine.js";
import type { Outcome } from "./outcome.js";
import type { Reporter } from "./reporter.js";

/** A reply that is ready to go. */
export interface WrittenReply {
  readonly body: string | Uint8Array;
  readonly contentType: string | undefined;
}

const NO_BODY = { body: null, contentType: undefined };

export class Answers {
  readonly #engine: Engine;
  readonly #onError: Reporter;

  constructor(engine: Engine, onError: Reporter) {
    this.#engine = engine;
    this.#onError = onError;
  }

  /** Hot: whether there could be anybody who waits for an answer. While there is nobody, handling costs this question. */
  get areWanted(): boolean {
    return this.#engine.broker.live.hasReceivers;
  }

  /** Hot while somebody looks on: whether the message asks for an answer that somebody may wait for. */
  isAsked(record: EngineRecord): boolean {
    return this.areWanted && record.header(REPLY_TO_HEADER) !== undefined;
  }

  /** Hot while somebody looks on: whether who asked has stopped waiting, so that handling the message would be in vain. */
  isTooLate(record: EngineRecord): boolean {
    if (!this.isAsked(record)) return false;
    const expiresAt = record.header(EXPIRES_AT_HEADER)?.toString("latin1");
    return expiresAt !== undefined && Number(expiresAt) <= this.#engine.clock.nowMs();
  }

  /** The handler said so, and the message is settled for `by`, which is a queue or `topic/group`. `reply` is there when it replied and somebody asked. */
  outcome(record: EngineRecord, by: string, outcome: Outcome, reply: WrittenReply | undefined): void {
    if (reply !== undefined) this.#value(record, by, reply);
    else if (outcome.kind === "drop") this.failed(record, by, "the handler dropped it");
    else this.nothing(record, by);
  }

  /** It was handled, and that is all. */
  nothing(record: EngineRecord, by: string): void {
    if (!this.isAsked(record)) return;
    this.#publish(record, { kind: "nothing", by, error: undefined }, NO_BODY);
  }

  /** It was given up. */
  failed(record: EngineRecord, by: string, error: string): void {
    if (!this.isAsked(record)) return;
    this.#publish(record, { kind: "failed", by, error }, NO_BODY);
  }

  #value(record: EngineRecord, by: string, reply: WrittenReply): void {
    const { body, contentType } = reply;
    // The handler's own bytes may change; who asked may keep them.
    const kept = typeof body === "string" ? body : Buffer.from(body);
    this.#publish(record, { kind: "value", by, error: undefined }, { body: kept, contentType });
  }

  #publish(
    record: EngineRecord,
    answer: Answer,
    content: { readonly body: string | Uint8Array | null; readonly contentType: string | undefined },
  ): void {
    const { broker, clock } = this.#engine;
    try {
      const message = answerTo(record, answer, { ...content, timestampMs: clock.nowMs() });
      if (message !== undefined) broker.publishLive(message);
    } catch (error) {
      this.#onError(error, `answering a message of ${answer.by}`);
    }
  }
}
