// Where the answers to this bus arrive: one private subject, with one level more for each question.

import { BrokerError } from "../broker-error.js";
import type { EngineBroker, EngineLiveMessage, EngineLiveReceiver } from "../engines/engine.js";

/** How many questions may wait for answers at a time. */
const QUESTIONS_MAX = 100_000;

/** Who waits for answers to one question. */
interface Questioner {
  answered(message: EngineLiveMessage): void;
  /** No answer will come any more. */
  ended(error: BrokerError): void;
}

/** A question, until it is closed. */
interface Question {
  /** The subject that answers go to. */
  readonly replyTo: string;
  readonly correlationId: string;
  close(): void;
}

export class AnswerInbox implements EngineLiveReceiver {
  readonly group = undefined;
  readonly #broker: EngineBroker;
  readonly #questioners = new Map<string, Questioner>();
  #inbox: { readonly subject: string; close(): void } | undefined = undefined;
  #asked = 0;
  #isClosed = false;

  constructor(broker: EngineBroker) {
    this.#broker = broker;
  }

  /** Errors: TOO_MANY_PENDING, CLOSED. */
  ask(questioner: Questioner): Question {
    if (this.#isClosed) throw closed();
    if (this.#questioners.size >= QUESTIONS_MAX) {
      throw new BrokerError(
        "TOO_MANY_PENDING",
        `${QUESTIONS_MAX} requests of this bus wait for their answers already. Await some of them first.`,
        { pending: QUESTIONS_MAX },
      );
    }
    this.#inbox ??= this.#broker.live.openInbox(this);
    this.#asked += 1;
    const correlationId = this.#asked.toString(36);
    this.#questioners.set(correlationId, questioner);
    return {
      replyTo: `${this.#inbox.subject}.${correlationId}`,
      correlationId,
      close: () => this.#questioners.delete(correlationId),
    };
  }

  /** An answer that nobody waits for any more is not taken. */
  offer(message: EngineLiveMessage): boolean {
    const correlationId = message.subject.slice(message.subject.lastIndexOf(".") + 1);
    const questioner = this.#questioners.get(correlationId);
    questioner?.answered(message);
    return questioner !== undefined;
  }

  /** Tells everybody who waits. */
  close(): void {
    this.#isClosed = true;
    this.#inbox?.close();
    const waiting = [...this.#questioners.values()];
    this.#questioners.clear();
    for (const questioner of waiting) questioner.ended(closed());
  }
}

function closed(): BrokerError {
  return new BrokerError("CLOSED", "The bus was closed while a request waited for its answer.");
}
