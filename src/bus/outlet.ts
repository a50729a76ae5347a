// Where messages go, and handing them over: one, or several of which all are taken or none.

import type { OutgoingMessage } from "../broker/message.js";
import type { EngineAppended, EngineBroker, EngineQueue, EngineTopic } from "../engines/engine.js";
import { unlessAborted } from "./abortable.js";

/** A queue, a topic, or everything that is bound to a subject. */
export interface Outlet {
  /** Whether it was deleted: another has to be opened. */
  readonly isGone: boolean;
  /** Whether publishers wait when it is full. */
  readonly makesWait: boolean;
  /** Whether {@link waitForRoom} comes before {@link append}. */
  readonly mustWait: boolean;
  waitForRoom(signal?: AbortSignal): Promise<void>;
  append(message: OutgoingMessage): EngineAppended;
  /** Hands all over to share a commit. All are taken, or none when it throws. */
  appendAll(messages: readonly OutgoingMessage[]): EngineAppended[];
}

/** A message that has been checked and encoded, and where it goes. */
export interface Prepared {
  readonly outlet: Outlet;
  readonly message: OutgoingMessage;
  /** As it was given. */
  readonly id: string | undefined;
}

/** One queue. */
export class QueueOutlet implements Outlet {
  readonly makesWait: boolean;
  readonly #broker: EngineBroker;
  readonly #queue: EngineQueue;

  constructor(broker: EngineBroker, queue: EngineQueue) {
    this.makesWait = queue.makesWait;
    this.#broker = broker;
    this.#queue = queue;
  }

  get isGone(): boolean {
    return this.#queue.isDeleted;
  }

  get mustWait(): boolean {
    return this.makesWait && this.#queue.mustWait;
  }

  waitForRoom(signal?: AbortSignal): Promise<void> {
    return this.#queue.waitForRoom(signal);
  }

  append(message: OutgoingMessage): EngineAppended {
    return this.#queue.append(message);
  }

  appendAll(messages: readonly OutgoingMessage[]): EngineAppended[] {
    const appended: EngineAppended[] = [];
    this.#broker.atomically(() => appendEach(this, messages, appended));
    return appended;
  }
}

/** Events go to everything that is bound to their subject: their topic, and queues that were bound to it. */
export class EventOutlet implements Outlet {
  readonly makesWait = false;
  readonly mustWait = false;
  readonly #broker: EngineBroker;
  readonly #topic: EngineTopic;

  constructor(broker: EngineBroker, topic: EngineTopic) {
    this.#broker = broker;
    this.#topic = topic;
  }

  get isGone(): boolean {
    return this.#topic.isDeleted;
  }

  append(message: OutgoingMessage): EngineAppended {
    const appended = this.#broker.publish(message);
    return appended.length === 1 ? appended[0]! : new AppendedToAll(appended);
  }

  appendAll(messages: readonly OutgoingMessage[]): EngineAppended[] {
    const appended: EngineAppended[] = [];
    this.#broker.atomically(() => appendEach(this, messages, appended));
    return appended;
  }

  waitForRoom(): Promise<void> {
    return Promise.resolve();
  }
}

/** A topic never makes a publisher wait: retention makes room. */
export class TopicOutlet implements Outlet {
  readonly makesWait = false;
  readonly mustWait = false;
  readonly #broker: EngineBroker;
  readonly #topic: EngineTopic;

  constructor(broker: EngineBroker, topic: EngineTopic) {
    this.#broker = broker;
    this.#topic = topic;
  }

  get isGone(): boolean {
    return this.#topic.isDeleted;
  }

  append(message: OutgoingMessage): EngineAppended {
    return this.#topic.append(message);
  }

  appendAll(messages: readonly OutgoingMessage[]): EngineAppended[] {
    const appended: EngineAppended[] = [];
    this.#broker.atomically(() => appendEach(this, messages, appended));
    return appended;
  }

  waitForRoom(): Promise<void> {
    return Promise.resolve();
  }
}

/** A message that went to several places, or to none: the receipt names the first, and waits for all. */
export class AppendedToAll implements EngineAppended {
  readonly #all: readonly EngineAppended[];

  constructor(all: readonly EngineAppended[]) {
    this.#all = all;
  }

  get committed(): Promise<void> {
    return untilCommitted(this.#all, undefined);
  }

  get firstSentMs(): number | undefined {
    return this.#all.every(({ firstSentMs }) => firstSentMs !== undefined)
      ? this.#all[0]?.firstSentMs
      : undefined;
  }

  get destination(): string {
    return this.#all[0]!.destination;
  }

  get partition(): number | undefined {
    return this.#all[0]!.partition;
  }

  get offset(): number {
    return this.#all[0]!.offset;
  }
}

export function appendEach(
  outlet: Outlet,
  messages: readonly OutgoingMessage[],
  appended: EngineAppended[],
): void {
  for (const message of messages) appended.push(outlet.append(message));
}

/** Hands over what a queue had no room for, in its turn. Errors: the signal's reason, those of the outlet. */
export async function appendWithRoom(
  outlet: Outlet,
  message: OutgoingMessage,
  signal: AbortSignal | undefined,
): Promise<EngineAppended> {
  await outlet.waitForRoom(signal);
  return outlet.append(message);
}

/** Hands all over, to share a commit. All are taken or none, except where publishers wait for room one message at a time. Errors: those of the outlet. */
export async function appendAll(
  outlet: Outlet,
  messages: readonly OutgoingMessage[],
  signal: AbortSignal | undefined,
): Promise<EngineAppended[]> {
  if (!outlet.makesWait) return outlet.appendAll(messages);
  const appended: EngineAppended[] = [];
  for (const message of messages) {
    const { mustWait } = outlet;
    appended.push(mustWait ? await appendWithRoom(outlet, message, signal) : outlet.append(message));
  }
  return appended;
}

/** Resolves when every message is durable. Messages of one batch share a promise, so few are waited for. */
export async function untilCommitted(
  appended: readonly EngineAppended[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const commits = new Set<Promise<void>>();
  for (const { committed } of appended) commits.add(committed);
  await unlessAborted(Promise.all(commits), signal);
}
