// What exists: queues, topics, subscriptions, exchanges, bindings and forwards, kept in one log, the last record of each key being its
// definition. The format is described in docs/formats/catalog.md.

import { BrokerError } from "../broker-error.js";
import type { Clock } from "../io/io.js";
import type { Log } from "../log/log.js";
import type { LogStore } from "../log/log-store.js";
import type { PendingAppend } from "../log/pending-append.js";
import { NO_HEADERS } from "../log/record-headers.js";
import { type BindingDefinition, bindingKey, type ExchangeOptions, type TargetKind } from "./binding.js";
import { BindingIndex } from "./binding-index.js";
import type { QueueOptions, SubscriptionOptions, TopicOptions } from "./limits.js";
import { readRecords } from "./read-records.js";

export interface QueueDefinition {
  readonly kind: "queue";
  readonly id: number;
  readonly name: string;
  readonly options: QueueOptions;
  readonly deadLettersOf?: string;
  /** Whether nothing is handed out. @default false */
  readonly isPaused?: boolean;
}

export interface TopicDefinition {
  readonly kind: "topic";
  readonly id: number;
  readonly name: string;
  readonly options: TopicOptions;
}

export interface SubscriptionDefinition {
  readonly kind: "subscription";
  readonly id: number;
  readonly topic: string;
  readonly group: string;
  readonly options: SubscriptionOptions;
  /** Per partition, the first offset that it gets. */
  readonly startOffsets: readonly number[];
  /** Per partition, how often the group was moved there: what was settled before is void. @default never */
  readonly moves?: readonly number[];
  /** Whether nothing is handed out. @default false */
  readonly isPaused?: boolean;
}

export interface ExchangeDefinition {
  readonly kind: "exchange";
  readonly name: string;
  readonly options: ExchangeOptions;
}

/** A queue or topic was given messages that expire. */
export interface ExpiryDefinition {
  readonly kind: "expiry";
  /** Its id. */
  readonly of: number;
}

/** A queue whose messages are moved on. */
export interface ForwardDefinition {
  readonly kind: "forward";
  readonly queue: string;
  readonly exchange: string;
  readonly subject?: string;
}

export type Definition =
  | QueueDefinition
  | TopicDefinition
  | SubscriptionDefinition
  | ExchangeDefinition
  | BindingDefinition
  | ExpiryDefinition
  | ForwardDefinition;

export class Catalog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #definitions = new Map<string, Definition>();
  readonly #bindings = new BindingIndex();
  #lastId = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  get definitions(): Iterable<Definition> {
    return this.#definitions.values();
  }

  /** Whether there is a definition of that name. */
  has(definition: Definition): boolean {
    return this.#definitions.has(keyOf(definition));
  }

  get bindings(): BindingDefinition[] {
    return [...this.#definitions.values()].filter((definition) => definition.kind === "binding");
  }

  /** Everything that is bound from it or to it. */
  bindingsOf(kind: TargetKind, name: string): BindingDefinition[] {
    return [...this.#bindings.of(kind, name)];
  }

  /** The stored binding of the same key. */
  binding(definition: BindingDefinition): BindingDefinition | undefined {
    const known = this.#definitions.get(bindingKey(definition));
    return known?.kind === "binding" ? known : undefined;
  }

  queue(name: string): QueueDefinition | undefined {
    const definition = this.#definitions.get(`queue/${name}`);
    return definition?.kind === "queue" ? definition : undefined;
  }

  topic(name: string): TopicDefinition | undefined {
    const definition = this.#definitions.get(`topic/${name}`);
    return definition?.kind === "topic" ? definition : undefined;
  }

  subscription(topic: string, group: string): SubscriptionDefinition | undefined {
    const definition = this.#definitions.get(`subscription/${topic}/${group}`);
    return definition?.kind === "subscription" ? definition : undefined;
  }

  get forwards(): ForwardDefinition[] {
    return [...this.#definitions.values()].filter((definition) => definition.kind === "forward");
  }

  forward(queue: string): ForwardDefinition | undefined {
    const known = this.#definitions.get(forwardKey(queue));
    return known?.kind === "forward" ? known : undefined;
  }

  /** A number that was never given out in this data directory: offsets of the log are not used twice either. */
  nextId(): number {
    this.#lastId = Math.max(this.#lastId + 1, this.#log.highWatermark);
    return this.#lastId;
  }

  /** Gives out no id up to this one: something on disk has it that no definition knows. */
  skipId(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
  }

  /**
   * Whether what has this id, and no definition, was removed. When it is newer than all that the catalog holds, its
   * definition may have been lost with the catalog's end.
   */
  isPast(id: number): boolean {
    return id < this.#log.highWatermark;
  }

  async load(): Promise<void> {
    for await (const record of readRecords(this.#log, 0, this.#log.highWatermark)) {
      this.#loadRecord(record.keyText() ?? "", record.value === null ? undefined : record.valueText());
    }
  }

  /** Stores the definition, replacing one of the same name. Resolves when it is durable. */
  async put(definition: Definition): Promise<void> {
    await this.append(definition).committed;
    this.#keep(keyOf(definition), definition);
  }

  /** Stores the definition in the commit that is being gathered, for atomic steps with other logs. It is not known here before the next {@link load}. */
  append(definition: Definition): PendingAppend {
    const text = JSON.stringify(definition);
    return this.#log.append(this.#clock.nowMs(), keyOf(definition), text, NO_HEADERS);
  }

  /** Resolves when the removal is durable. */
  async remove(definition: Definition): Promise<void> {
    const key = keyOf(definition);
    await this.#log.append(this.#clock.nowMs(), key, null, NO_HEADERS).committed;
    this.#forget(key);
  }

  /** Removes all of them in one atomic step. Resolves when that is durable. */
  async removeAll(definitions: readonly Definition[], store: LogStore): Promise<void> {
    const keys = definitions.map(keyOf);
    const pending = new Set<PendingAppend>();
    store.atomically(() => {
      for (const key of keys) pending.add(this.#log.append(this.#clock.nowMs(), key, null, NO_HEADERS));
    });
    await Promise.all([...pending].map(({ committed }) => committed));
    for (const key of keys) this.#forget(key);
  }

  #keep(key: string, definition: Definition): void {
    this.#unindex(key);
    this.#definitions.set(key, definition);
    if (definition.kind === "binding") this.#bindings.add(definition);
  }

  #forget(key: string): void {
    this.#unindex(key);
    this.#definitions.delete(key);
  }

  #unindex(key: string): void {
    const definition = this.#definitions.get(key);
    if (definition?.kind === "binding") this.#bindings.remove(definition);
  }

  #loadRecord(key: string, text: string | undefined): void {
    if (text === undefined) {
      this.#forget(key);
      return;
    }
    const definition = parsed(key, text);
    this.#keep(key, definition);
    if ("id" in definition) this.#lastId = Math.max(this.#lastId, definition.id);
  }
}

/** Errors: LOG_CORRUPT. Kinds that this version does not know are kept as they are. */
function parsed(key: string, text: string): Definition {
  let definition: unknown;
  try {
    definition = JSON.parse(text);
  } catch (error) {
    throw new BrokerError("LOG_CORRUPT", `The catalog's definition of ${key} is not JSON.`, { key }, error);
  }
  if (typeof definition !== "object" || definition === null || !("kind" in definition))
    throw new BrokerError("LOG_CORRUPT", `The catalog's entry of ${key} is not a definition.`, { key });
  return definition as Definition;
}

function keyOf(definition: Definition): string {
  switch (definition.kind) {
    case "subscription":
      return `subscription/${definition.topic}/${definition.group}`;
    case "binding":
      return bindingKey(definition);
    case "expiry":
      return `expiry/${definition.of}`;
    case "forward":
      return forwardKey(definition.queue);
    default:
      return `${definition.kind}/${definition.name}`;
  }
}

function forwardKey(queue: string): string {
  return `forward/${queue}`;
}
