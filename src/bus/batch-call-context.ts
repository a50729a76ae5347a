// What a call of a batch handler sends with its answer: for the whole batch, and for single messages of it.

import type { Batch, BatchItem } from "./batch.js";
import type { BatchContext } from "./handler.js";
import type { CommandType, EventType } from "./message-type.js";
import { invalidOption } from "./option-checks.js";
import type { Outbox } from "./outbox.js";
import type { ExchangeOutputs, Outputs, QueueOutputs, TopicOutputs } from "./outputs.js";

export class BatchCallContext implements BatchContext {
  readonly signal: AbortSignal;
  readonly #batch: Batch<unknown>;
  readonly #makeOutbox: () => Outbox;
  #own: Outbox | undefined = undefined;
  readonly #ofItems = new Map<BatchItem<unknown>, Outbox>();
  /** Made when the first of them is asked for. */
  #items: ReadonlySet<BatchItem<unknown>> | undefined = undefined;
  #isEnded = false;

  constructor(batch: Batch<unknown>, signal: AbortSignal, makeOutbox: () => Outbox) {
    this.#batch = batch;
    this.signal = signal;
    this.#makeOutbox = makeOutbox;
  }

  get hasOutputs(): boolean {
    return this.#own !== undefined || this.#ofItems.size > 0;
  }

  /** What was sent for the whole batch and for these messages of it. */
  outboxesOf(indexes: readonly number[]): Outbox[] {
    const own = this.#own === undefined ? [] : [this.#own];
    return [...own, ...indexes.flatMap((index) => this.#ofItems.get(this.#batch.items[index]!) ?? [])];
  }

  /** What the handler sends from now on is too late. */
  end(): void {
    this.#isEnded = true;
    this.#own?.close();
    for (const outbox of this.#ofItems.values()) outbox.close();
  }

  async publish<In, Out>(event: EventType<In, Out>, value: In, options?: object): Promise<void> {
    await this.#outputs.publish(event, value, options);
  }

  async send<In, Out>(command: CommandType<In, Out>, value: In, options?: object): Promise<void> {
    await this.#outputs.send(command, value, options);
  }

  queue(name: string): QueueOutputs {
    return this.#outputs.queue(name);
  }

  topic(name: string): TopicOutputs {
    return this.#outputs.topic(name);
  }

  exchange(name: string): ExchangeOutputs {
    return this.#outputs.exchange(name);
  }

  for(item: BatchItem<unknown>): Outputs {
    this.#items ??= new Set(this.#batch.items);
    if (!this.#items.has(item))
      throw invalidOption("item of for", item, "an item of the batch that is being handled");
    let outbox = this.#ofItems.get(item);
    if (outbox === undefined) {
      outbox = this.#opened();
      this.#ofItems.set(item, outbox);
    }
    return outbox;
  }

  get #outputs(): Outbox {
    this.#own ??= this.#opened();
    return this.#own;
  }

  #opened(): Outbox {
    const outbox = this.#makeOutbox();
    if (this.#isEnded) outbox.close();
    return outbox;
  }
}
