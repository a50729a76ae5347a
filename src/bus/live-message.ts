// A message as those who look on see it.

import type { EngineLiveMessage } from "../engines/engine.js";
import type { BusCodecs } from "./decoding.js";
import { StoredMessage } from "./stored-message.js";

/** A message that a live subscription saw: committed to a topic, or published live and stored nowhere. */
export class LiveMessage extends StoredMessage {
  /** Whether it was published with `retain` before the subscription began. */
  readonly isRetained: boolean;
  /** Whether a topic has it. One that was published live has no source, no place and, unless one was given, no id. */
  readonly isStored: boolean;
  readonly #subject: string;

  constructor(message: EngineLiveMessage, codecs: BusCodecs, isRetained = false) {
    super(message.record, message.source ?? "", message.partition, codecs);
    this.isRetained = isRetained;
    this.isStored = message.source !== undefined;
    this.#subject = message.subject;
  }

  override get id(): string {
    return this.isStored ? super.id : (this.givenId ?? "");
  }

  override get subject(): string {
    return this.#subject;
  }
}
