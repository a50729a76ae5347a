// What sends each type of message, made when the type is used for the first time, and each body to a queue or topic.

import { BUS_EXCHANGE } from "../broker/binding.js";
import { assertPublishable } from "../broker/subject.js";
import type { EngineQueue, EngineTopic } from "../engines/engine.js";
import { BodySender } from "./body-sender.js";
import { ExchangeOutlet } from "./exchange-outlet.js";
import { assertKind, type CommandType, type EventType } from "./message-type.js";
import { notSupported } from "./option-checks.js";
import { EventOutlet, type Outlet, QueueOutlet, TopicOutlet } from "./outlet.js";
import { Sender } from "./sender.js";
import type { SenderHost } from "./sender-host.js";

export class Senders {
  readonly #core: SenderHost;
  /** Weak: an application may make types as it goes. */
  readonly #byType = new WeakMap<object, unknown>();
  readonly #byQueue = new WeakMap<EngineQueue, Outlet>();

  constructor(core: SenderHost) {
    this.#core = core;
  }

  /** Errors: CLOSED, INVALID_OPTION. */
  event<In>(event: EventType<In, unknown>): Sender<In> {
    this.#core.assertOpen();
    const known = this.#byType.get(event);
    if (known !== undefined && event.kind === "event") return known as Sender<In>;
    assertKind("event", event as unknown, "publish");
    const declare = async () => {
      return new EventOutlet(this.#core.engine.broker, await this.declareEvent(event));
    };
    return this.#keep(event, new Sender(this.#core, event, declare));
  }

  /** Errors: CLOSED, INVALID_OPTION. */
  command<In>(command: CommandType<In, unknown>): Sender<In> {
    this.#core.assertOpen();
    const known = this.#byType.get(command);
    if (known !== undefined && command.kind === "command") return known as Sender<In>;
    assertKind("command", command as unknown, "send");
    return this.#keep(command, new Sender(this.#core, command, () => this.queueOutlet(command.queue)));
  }

  queueBody(name: string): BodySender {
    return new BodySender(this.#core, "queue", name, name);
  }

  /** Errors: INVALID_SUBJECT. */
  topicBody(name: string, subject: string): BodySender {
    assertPublishable(subject);
    return new BodySender(this.#core, "topic", name, subject);
  }

  /** Errors: INVALID_SUBJECT, NOT_SUPPORTED. */
  exchangeBody(name: string, subject: string): BodySender {
    assertPublishable(subject);
    const { capabilities, name: engine } = this.#core.engine;
    if (name !== BUS_EXCHANGE && !capabilities.exchanges) throw notSupported(engine, "exchanges");
    return new BodySender(this.#core, "exchange", name, subject);
  }

  /** A group must not miss what is published after its handler was registered. */
  async exchangeOutlet(name: string, mustRoute: boolean): Promise<Outlet> {
    await this.#core.handlers.starting;
    return new ExchangeOutlet(this.#core.engine.broker, name, mustRoute);
  }

  /** Makes the queue with its defaults, or finds it. Errors: INVALID_NAME, those of storage. */
  async queueOutlet(name: string): Promise<Outlet> {
    const { broker } = this.#core.engine;
    const queue = broker.queue(name) ?? (await broker.declareQueue(name));
    let outlet = this.#byQueue.get(queue);
    if (outlet === undefined) {
      outlet = new QueueOutlet(broker, queue);
      this.#byQueue.set(queue, outlet);
    }
    return outlet;
  }

  /** As {@link queueOutlet}. A group must not miss what is published after its handler was registered. */
  async topicOutlet(name: string): Promise<Outlet> {
    const { broker } = this.#core.engine;
    await this.#core.handlers.starting;
    return new TopicOutlet(broker, broker.topic(name) ?? (await broker.declareTopic(name)));
  }

  /** An event's topic is there, and what is published with the event's name leads to it. */
  async declareEvent(event: { readonly name: string; readonly topic: string }): Promise<EngineTopic> {
    const { broker } = this.#core.engine;
    const topic = await broker.declareTopic(event.topic);
    await broker.bind({ to: { kind: "topic", name: event.topic }, pattern: event.name });
    return topic;
  }

  #keep<In>(type: object, sender: Sender<In>): Sender<In> {
    this.#byType.set(type, sender);
    return sender;
  }
}
