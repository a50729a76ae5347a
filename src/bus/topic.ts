// A topic as applications hold it: bodies in, read by offset or by group, no message types.

import type { TopicOptions as BrokerTopicOptions } from "../broker/limits.js";
import type { TopicStatistics } from "../broker/statistics.js";
import { assertPublishable } from "../broker/subject.js";
import type { Capabilities, EngineSubscription, EngineTopic } from "../engines/engine.js";
import { type BindingSource, bindSources, checkedSources } from "./binding.js";
import { BodySender } from "./body-sender.js";
import type { BusCore } from "./bus-core.js";
import {
  type AnyGroupSharing,
  GROUP_SHARING_OPTIONS,
  type GroupSharing,
  sharingOf,
} from "./consumer-options.js";
import { type Duration, toMs } from "./duration.js";
import { Group } from "./group.js";
import { knownOptions, validDate, wholeNumber } from "./option-checks.js";
import { type Outlet, TopicOutlet } from "./outlet.js";
import { type GroupStart, startPosition } from "./place.js";
import { Producer } from "./producer.js";
import { type ProducerOptions, ProducerSettings } from "./producer-settings.js";
import type { AnyPublishOptions, TopicBodyOptions } from "./publish-options.js";
import type { Receipt } from "./receipt.js";
import {
  type DeduplicationOptions,
  deduplicationOptions,
  type InboxOptions,
  inboxOptions,
} from "./remembering.js";
import { StoredMessage } from "./stored-message.js";

/**
 * What a topic is declared with. What is left out is what it was declared with before, else its default. None of it
 * can be changed; `bind` can be added to.
 */
export interface TopicOptions extends DeduplicationOptions {
  /** Ordered logs that messages are spread over by key, 1 to 1,024. They cannot be changed. @default 1 */
  readonly partitions?: number;
  /** Bytes of one body, at most; up to 64 MiB. @default 1 MiB */
  readonly messageBytesMax?: number;
  /**
   * What is kept at least. What is older, or more, leaves in whole segments of up to 64 MiB, or an eighth of `bytes`,
   * read or not.
   */
  readonly retention?: {
    /** @default "7d", and no limit with `compact` */
    readonly age?: Duration;
    /** Of one partition. @default no limit */
    readonly bytes?: number;
    /** Of one partition. @default no limit */
    readonly count?: number;
  };
  /**
   * Whether only the last message of each key is kept, however old it is. Messages without a key stay. @default false
   */
  readonly compact?: boolean;
  /** @default what the engine was opened with: "synced" */
  readonly durability?: "synced" | "written" | "memory";
  /** Subject patterns, and bindings of exchanges: what they lead here. It can be added to. */
  readonly bind?: readonly (string | BindingSource)[];
}

interface BasicGroupOptions extends InboxOptions {
  /** Where a group that is new begins. @default "new" */
  readonly from?: GroupStart;
}

/** What is left out is what the group was made with before, else its default. Only `from` may differ from that. */
export type GroupOptions<C extends Capabilities = Capabilities> = BasicGroupOptions & GroupSharing<C>;

export interface ReadOptions {
  /** An offset, a time, or the first message that is kept. @default "beginning" */
  readonly from?: number | Date | "beginning";
  /** @default 0 */
  readonly partition?: number;
  readonly limit?: number;
}

const TOPIC_OPTIONS = [
  "partitions",
  "messageBytesMax",
  "retention",
  "compact",
  "durability",
  "deduplicate",
  "bind",
];

/**
 * A topic of bodies. Each verb makes the topic with the options it was asked for, or finds it: TOPIC_MISMATCH when it was
 * made with others.
 *
 * @example
 * const readings = bus.topic("readings", { partitions: 4, retention: { age: "30d" } });
 * await readings.publish("21.5", { key: "sensor-7" });
 * for await (const message of readings.read({ partition: 2, from: new Date(0) })) console.log(message.text());
 */
export class Topic<C extends Capabilities = Capabilities> {
  readonly kind = "topic";
  readonly name: string;
  readonly #core: BusCore;
  readonly #options: TopicOptions;
  #declared: Promise<EngineTopic> | undefined = undefined;
  #known: EngineTopic | undefined = undefined;
  #outlet: Outlet | undefined = undefined;

  /** Made by {@link Bus.topic}. */
  constructor(core: BusCore, name: string, options: TopicOptions) {
    this.name = name;
    this.#core = core;
    this.#options = knownOptions(`topic ${name}`, options, TOPIC_OPTIONS);
    if (this.#options.deduplicate !== undefined) core.assertSupports("deduplication", "finding duplicates");
  }

  /** Makes the topic, durably, or finds it; every other verb does so by itself. Errors: INVALID_NAME, INVALID_OPTION, TOPIC_MISMATCH. */
  async declare(): Promise<this> {
    await this.#topic();
    return this;
  }

  /** Resolves when the message is durable; bytes may not be changed until then. Its subject is the topic's name unless given. Errors: MESSAGE_TOO_LARGE, INVALID_SUBJECT, INVALID_OPTION, INVALID_PAYLOAD, those of storage. */
  publish(body: string | Uint8Array, options?: TopicBodyOptions<C>): Promise<Receipt> {
    try {
      const sender = this.#sender(options?.subject);
      return sender.send(this.#open, body, options as AnyPublishOptions | undefined, this.#ready);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Hands all over in one go, so that they share a commit: all are taken or none. Errors: those of
   * {@link Topic.publish}.
   */
  async publishMany(
    bodies: readonly (string | Uint8Array)[],
    options?: TopicBodyOptions<C>,
  ): Promise<Receipt[]> {
    const sender = this.#sender(options?.subject);
    return await sender.sendMany(this.#open, bodies, options as AnyPublishOptions | undefined);
  }

  /** Publishes many bodies with one subject, more than one at a time: see {@link Bus.producer}. Errors: INVALID_OPTION, INVALID_SUBJECT. */
  producer(
    options: ProducerOptions & { readonly subject?: string } = {},
  ): Producer<string | Uint8Array, Omit<TopicBodyOptions<C>, "subject">> {
    const { subject, ...rest } = options;
    const settings = new ProducerSettings(this.name, rest);
    return new Producer(this.#core, this.#sender(subject).target(this.#open), settings);
  }

  /** A durable, named cursor: each message goes to one of its consumers. It is made by its first verb. */
  group(name: string, options: GroupOptions<C> = {} as GroupOptions<C>): Group<C> {
    const known: BasicGroupOptions & AnyGroupSharing = knownOptions(
      `group ${name}`,
      options as BasicGroupOptions,
      ["from", "inbox", ...GROUP_SHARING_OPTIONS],
    );
    const { from, inbox } = known;
    if (inbox !== undefined) this.#core.assertSupports("deduplication", "finding duplicates");
    const asked = {
      ...sharingOf(known, this.#core),
      ...inboxOptions(inbox),
      ...(from === undefined ? {} : { from: startPosition(from) }),
    };
    const subscription = async (): Promise<EngineSubscription> => {
      await this.#topic();
      return await this.#core.engine.broker.declareSubscription(this.name, name, asked);
    };
    return new Group<C>(this.#core, this.name, name, subscription);
  }

  /** Messages that are readable now, without a group. Errors: INVALID_OPTION, OFFSET_OUT_OF_RANGE, LOG_CORRUPT. */
  async *read(options: ReadOptions = {}): AsyncGenerator<StoredMessage, void, undefined> {
    const { from, partition = 0, limit } = knownOptions("read", options, ["from", "partition", "limit"]);
    const start = startOf(from);
    let left = limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber("limit", limit);
    for await (const record of (await this.#topic()).read(partition, start)) {
      yield new StoredMessage(record, this.name, partition, this.#core.codecs);
      left -= 1;
      if (left <= 0) return;
    }
  }

  /**
   * Deletes the topic with its messages and groups; dead letters stay. Their handlers end. Returns whether it was there.
   */
  async delete(): Promise<boolean> {
    this.#core.assertOpen();
    this.#core.assertWritable();
    return await this.#core.engine.broker.deleteTopic(this.name);
  }

  /** The topic's numbers, and those of its groups. */
  async statistics(): Promise<TopicStatistics> {
    await this.#topic();
    return this.#core.engine.broker.statistics().topics.find(({ name }) => name === this.name)!;
  }

  /** Errors: INVALID_SUBJECT. */
  #sender(subject = this.name): BodySender {
    assertPublishable(subject);
    return new BodySender(this.#core, "topic", this.name, subject);
  }

  /** Where messages go, unless that has to be waited for. */
  get #ready(): Outlet | undefined {
    return this.#core.handlers.starting === undefined && this.#outlet?.isGone === false
      ? this.#outlet
      : undefined;
  }

  /** A group must not miss what is published after its handler was registered. */
  readonly #open = async (): Promise<Outlet> => {
    await this.#core.handlers.starting;
    const topic = await this.#topic();
    if (this.#outlet === undefined || this.#outlet.isGone)
      this.#outlet = new TopicOutlet(this.#core.engine.broker, topic);
    return this.#outlet;
  };

  async #topic(): Promise<EngineTopic> {
    this.#core.assertOpen();
    if (this.#known?.isDeleted === true) this.#declared = undefined;
    this.#declared ??= this.#core.declaring(this.#declare()).catch((error: unknown) => {
      this.#declared = undefined;
      throw error;
    });
    this.#known = await this.#declared;
    return this.#known;
  }

  async #declare(): Promise<EngineTopic> {
    const sources = checkedSources(this.#core, this.#options.bind);
    const topic = await this.#core.engine.broker.declareTopic(this.name, brokerOptions(this.#options));
    await bindSources(this.#core, sources, this);
    return topic;
  }
}

function startOf(from: ReadOptions["from"] = "beginning"): { offset: number } | { timestampMs: number } {
  if (from === "beginning") return { offset: 0 };
  if (typeof from === "number") return { offset: wholeNumber("from", from, 0) };
  return { timestampMs: validDate("from", from).getTime() };
}

function brokerOptions(options: TopicOptions): Partial<BrokerTopicOptions> {
  const { retention, deduplicate, bind: _, ...rest } = options;
  const { age, bytes, count } = knownOptions("retention", retention, ["age", "bytes", "count"]);
  return {
    ...rest,
    ...deduplicationOptions(deduplicate),
    ...(age === undefined ? {} : { retentionMs: toMs("retention.age", age, 1) }),
    ...(bytes === undefined ? {} : { retentionBytes: wholeNumber("retention.bytes", bytes) }),
    ...(count === undefined ? {} : { retentionCount: wholeNumber("retention.count", count) }),
  };
}
