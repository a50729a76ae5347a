// Looking on at events as they are committed or published live.

import { assertPattern } from "../broker/subject.js";
import type { EngineLive, EngineLiveMessage } from "../engines/engine.js";
import { onAbort } from "../io/on-abort.js";
import type { BusCore } from "./bus-core.js";
import { LiveMessage } from "./live-message.js";
import { knownOptions, oneOf, optionalText, wholeNumber } from "./option-checks.js";

export interface LiveOptions {
  /** Messages that may wait to be taken. @default 1000 */
  readonly buffer?: number;
  /**
   * What happens to a message when the buffer is full. `"wait"` loses nothing that its topic keeps: a message of a topic is
   * read from there when there is room, and whoever publishes live waits. @default "drop-oldest"
   */
  readonly whenFull?: "drop-newest" | "drop-oldest" | "disconnect" | "wait";
  /** Of the subscriptions of one group that match a message, one sees it. Not with `"wait"`. @default sees all, whoever else does */
  readonly group?: string;
  /** Begins with the retained messages of the subjects that match. @default false */
  readonly retained?: boolean;
  /** Ends the stream. */
  readonly signal?: AbortSignal;
}

/** An endless stream of messages; `break`, the signal or the bus ends it. SLOW_SUBSCRIBER is thrown when it was disconnected. */
export class LiveSubscription implements AsyncIterable<LiveMessage> {
  readonly #core: BusCore;
  readonly #live: EngineLive;
  readonly #retained: AsyncIterable<EngineLiveMessage> | undefined;
  readonly #forget: (() => void)[];
  #isClosed = false;

  constructor(
    core: BusCore,
    live: EngineLive,
    retained: AsyncIterable<EngineLiveMessage> | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.#core = core;
    this.#live = live;
    this.#retained = retained;
    this.#forget = [core.onClose(() => this.close())];
    if (signal !== undefined) this.#forget.push(onAbort(signal, () => this.close()));
  }

  /** Messages that were not taken in time. */
  get dropped(): number {
    return this.#live.dropped;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LiveMessage, void, undefined> {
    const { codecs } = this.#core;
    try {
      for await (const message of this.#retained ?? []) {
        if (this.#isClosed) break;
        yield new LiveMessage(message, codecs, true);
      }
      for (let message = await this.#take(); message !== undefined; message = await this.#take()) {
        yield new LiveMessage(message, codecs);
      }
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const forget of this.#forget.splice(0)) forget();
    this.#live.close();
  }

  /** Somebody waits here: the process stays alive. */
  async #take(): ReturnType<EngineLive["take"]> {
    const release = this.#core.keepAlive();
    try {
      return await this.#live.take();
    } finally {
      release();
    }
  }
}

const LIVE_OPTIONS = ["buffer", "whenFull", "group", "retained", "signal"];

/** Errors: INVALID_OPTION, INVALID_SUBJECT, CLOSED. */
export function openLive(core: BusCore, pattern: string, options: LiveOptions): LiveSubscription {
  assertPattern(pattern);
  const known = knownOptions("subscribe", options, LIVE_OPTIONS);
  const bufferMax = wholeNumber("buffer", known.buffer ?? 1000);
  const whenFull = oneOf("whenFull", known.whenFull ?? "drop-oldest", [
    "drop-newest",
    "drop-oldest",
    "disconnect",
    "wait",
  ]);
  const group = optionalText("group", known.group);
  const { broker } = core.engine;
  const isRetainedAsked = known.retained === true;
  if (isRetainedAsked) core.assertSupports("retained", "retained messages");
  const live = broker.subscribeLive({ pattern, bufferMax, whenFull, group });
  // In the same turn: what is retained later is live.
  const retained = isRetainedAsked ? broker.retained.read(pattern, true) : undefined;
  return new LiveSubscription(core, live, retained, known.signal);
}
