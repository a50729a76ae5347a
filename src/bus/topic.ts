// A topic as applications hold it: bodies in, read by offset or by group, no message types.

import type { TopicOptions as BrokerTopicOptions, SubscriptionOptions } from "../broker/limits.js";
import type { GroupStatistics, TopicStatistics } from "../broker/statistics.js";
import { assertPublishable } from "../broker/subject.js";
import { BrokerError } from "../broker-error.js";
import type { Capabilities, EngineSource, EngineTopic } from "../engines/engine.js";
import { BodySender } from "./body-sender.js";
import type { BusCore } from "./bus-core.js";
import type { Delivery } from "./delivery.js";
import { type Duration, toMs } from "./duration.js";
import type { Outlet } from "./outlet.js";
import { type AnyPublishOptions, MessageMaker, type PublishOptions } from "./publish-options.js";
import { Puller, type ReceiveBatchOptions, type ReceiveOptions } from "./puller.js";
import type { Receipt } from "./receipt.js";
import { StoredMessage } from "./stored-message.js";

/** What a topic is declared with. What is left out is what it was declared with before, else its default. */
export interface TopicOptions {
  /** Ordered logs that messages are spread over by key, 1 to 1,024. They cannot be changed. @default 1 */
  readonly partitions?: number;
  /** Bytes of one body, at most; up to 64 MiB. @default 1 MiB */
  readonly messageBytesMax?: number;
  /** What is kept at least. What is older, or more, leaves in whole segments of up to 64 MiB, read or not. */
  readonly retention?: {
    /** @default "7d" */
    readonly age?: Duration;
    /** Of one partition. @default no limit */
    readonly bytes?: number;
    /** Of one partition. @default no limit */
    readonly count?: number;
  };
  /** Whether only the last message of each key is kept. @default false */
  readonly compact?: boolean;
  /** @default what the engine was opened with: "synced" */
  readonly durability?: "synced" | "written" | "memory";
}

export interface GroupOptions {
  /** Where a group that is new begins. @default "new" */
  readonly from?: SubscriptionOptions["from"];
}

export interface ReadOptions {
  /** An offset, a time, or the first message that is kept. @default "beginning" */
  readonly from?: number | Date | "beginning";
  /** @default 0 */
  readonly partition?: number;
  readonly limit?: number;
}

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
  readonly name: string;
  readonly #core: BusCore;
  readonly #options: TopicOptions;
  #declared: Promise<EngineTopic> | undefined = undefined;

  constructor(core: BusCore, name: string, options: TopicOptions) {
    this.name = name;
    this.#core = core;
    this.#options = options;
  }

  /** Makes the topic, durably, or finds it; every other verb does so by itself. Errors: INVALID_NAME, INVALID_OPTION, TOPIC_MISMATCH. */
  async declare(): Promise<this> {
    await this.#topic();
    return this;
  }

  /** Resolves when the message is durable. Its subject is the topic's name unless given. Errors: MESSAGE_TOO_LARGE, INVALID_SUBJECT, INVALID_OPTION, those of storage. */
  async publish(
    body: string | Uint8Array,
    options?: PublishOptions<C> & { readonly subject?: string },
  ): Promise<Receipt> {
    const [receipt] = await this.publishMany([body], options);
    return receipt!;
  }

  /**
   * Hands all over in one go, so that they share a commit. When it rejects, some may be stored. Errors: those of
   * {@link Topic.publish}.
   */
  async publishMany(
    bodies: readonly (string | Uint8Array)[],
    options?: PublishOptions<C> & { readonly subject?: string },
  ): Promise<Receipt[]> {
    const subject = options?.subject ?? this.name;
    assertPublishable(subject);
    const sender = new BodySender(
      this.name,
      new MessageMaker(subject, subject !== this.name, undefined),
      this.#core.engine.clock,
    );
    return await sender.sendMany(
      new TopicOutlet(await this.#topic()),
      bodies,
      options as AnyPublishOptions | undefined,
    );
  }

  /** A durable, named cursor: each message goes to one of its receivers. It is made by its first verb. */
  group(name: string, options: GroupOptions = {}): Group {
    const source = async (): Promise<EngineSource> => {
      await this.#topic();
      return (await this.#core.engine.broker.declareSubscription(this.name, name, options)).source;
    };
    return new Group(this.#core, this.name, name, source);
  }

  /** Messages that are readable now, without a group. Errors: OFFSET_OUT_OF_RANGE, LOG_CORRUPT. */
  async *read(options: ReadOptions = {}): AsyncGenerator<StoredMessage, void, undefined> {
    const { from = "beginning", partition = 0, limit = Number.POSITIVE_INFINITY } = options;
    const start =
      from instanceof Date ? { timestampMs: from.getTime() } : { offset: from === "beginning" ? 0 : from };
    let left = limit;
    if (left <= 0) return;
    for await (const record of (await this.#topic()).read(partition, start)) {
      yield new StoredMessage(record, this.name, partition);
      left -= 1;
      if (left <= 0) return;
    }
  }

  /** The topic's numbers, and those of its groups. */
  async statistics(): Promise<TopicStatistics> {
    await this.#topic();
    return this.#core.engine.broker.statistics().topics.find(({ name }) => name === this.name)!;
  }

  #topic(): Promise<EngineTopic> {
    this.#core.assertOpen();
    this.#declared ??= this.#core.engine.broker
      .declareTopic(this.name, brokerOptions(this.#options))
      .catch((error: unknown) => {
        this.#declared = undefined;
        throw error;
      });
    return this.#declared;
  }
}

/** A group of a topic, for receiving by hand. */
export class Group {
  readonly name: string;
  readonly #core: BusCore;
  readonly #topic: string;
  readonly #source: () => Promise<EngineSource>;
  readonly #puller: Puller;

  constructor(core: BusCore, topic: string, name: string, source: () => Promise<EngineSource>) {
    this.name = name;
    this.#core = core;
    this.#topic = topic;
    this.#source = source;
    this.#puller = new Puller(source, topic, core);
  }

  /** Makes the group, durably, or finds it. Errors: INVALID_NAME, INVALID_OPTION. */
  async declare(): Promise<this> {
    this.#core.assertOpen();
    await this.#source();
    return this;
  }

  /** Messages as they come, to be settled by hand. Ends with the signal, `break`, or the bus. */
  receive(options: ReceiveOptions = {}): AsyncGenerator<Delivery, void, undefined> {
    return this.#puller.receive(options);
  }

  /** Up to `max` messages, to be settled by hand. */
  receiveBatch(options: ReceiveBatchOptions): Promise<Delivery[]> {
    return this.#puller.receiveBatch(options);
  }

  /** The group's numbers. Counters begin at 0 when the bus is opened. */
  async statistics(): Promise<GroupStatistics> {
    await this.declare();
    const topic = this.#core.engine.broker.statistics().topics.find(({ name }) => name === this.#topic);
    const group = topic?.groups.find(({ name }) => name === this.name);
    if (group === undefined)
      throw new BrokerError("SUBSCRIPTION_NOT_FOUND", `Topic ${this.#topic} has no group ${this.name}.`, {
        topic: this.#topic,
        group: this.name,
      });
    return group;
  }
}

/** A topic never makes a publisher wait: retention makes room. */
class TopicOutlet implements Outlet {
  readonly mustWait = false;
  readonly #topic: EngineTopic;

  constructor(topic: EngineTopic) {
    this.#topic = topic;
  }

  append(message: Parameters<EngineTopic["append"]>[0]): ReturnType<EngineTopic["append"]> {
    return this.#topic.append(message);
  }

  waitForRoom(): Promise<void> {
    return Promise.resolve();
  }
}

function brokerOptions(options: TopicOptions): Partial<BrokerTopicOptions> {
  const { retention = {}, ...rest } = options;
  return {
    ...rest,
    ...(retention.age === undefined ? {} : { retentionMs: toMs("retention.age", retention.age) }),
    ...(retention.bytes === undefined ? {} : { retentionBytes: retention.bytes }),
    ...(retention.count === undefined ? {} : { retentionCount: retention.count }),
  };
}
