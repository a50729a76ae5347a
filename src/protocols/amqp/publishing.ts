// What a channel's client publishes: to the broker, and what it is told of it.

import type { Appended } from "../../broker/appended.js";
import type { Broker } from "../../broker/broker.js";
import { withRoom } from "../../broker/hand-over.js";
import type { Queue } from "../../broker/queue.js";
import { isBrokerError } from "../../broker-error.js";
import { AMQ_TOPIC, brokerName, subjectOf } from "./address.js";
import type { ChannelHost } from "./channel-host.js";
import { Confirms } from "./confirms.js";
import type { Envelope, Publisher } from "./envelope.js";
import { accessRefused, notFound, preconditionFailed, thing } from "./errors.js";
import type { ExchangeView } from "./exchange-view.js";
import type { IncomingPublish } from "./incoming-publish.js";
import { placeOriginal } from "./original.js";
import { PublishedMessage } from "./published-message.js";
import { OutgoingContent, writeReturn } from "./wire/basic.js";
import { ProtocolError } from "./wire/protocol-error.js";

/** How many envelopes a channel remembers: a power of two. */
const ENVELOPES = 16;
const NO_ROUTE = 312;
/** What the subjects of the broker's inboxes begin with. */
const INBOX_PREFIX = "_inbox.";
const NOWHERE: readonly Appended[] = [];

/** A message that was published and not handed over yet. */
export interface Posted {
  readonly envelope: Envelope;
  readonly body: Buffer;
  readonly isMandatory: boolean;
}

export class Publishing {
  /** Undefined until the client asks for confirms. */
  confirms: Confirms | undefined = undefined;
  private readonly connection: ChannelHost;
  private readonly channel: number;
  private readonly publisher: Publisher;
  readonly broker: Broker;
  private readonly envelopes: (Envelope | undefined)[] = new Array(ENVELOPES);
  /** Of what came last that has no envelope here, by slot. */
  private readonly hashes = new Int32Array(ENVELOPES);
  /** Made when the publisher waits for room for the first time. */
  private waiting: AbortController | undefined = undefined;
  /** How many looked on at the message that was handed over last. */
  private receivers = 0;

  constructor(connection: ChannelHost, channel: number, publisher: Publisher) {
    this.connection = connection;
    this.channel = channel;
    this.publisher = publisher;
    this.broker = connection.host.broker;
  }

  confirm(): void {
    const { connection } = this;
    this.confirms ??= new Confirms(connection.writer, this.channel, (error) => this.report(error));
  }

  end(): void {
    this.waiting?.abort();
    this.confirms?.end();
  }

  /** Hot. A promise only when the publisher waits for room. Errors: those that close the channel. */
  publish(publish: IncomingPublish): Promise<void> | undefined {
    return this.post(this.envelopeOf(publish), publish.body, publish.isMandatory);
  }

  private post(envelope: Envelope, body: Buffer, isMandatory: boolean): Promise<void> | undefined {
    const { confirms, connection } = this;
    let appended: readonly Appended[];
    try {
      appended = this.handOver(envelope, body);
    } catch (error) {
      const full = this.fullQueue(error);
      if (full.makesWait) return this.postWhenRoom(full, envelope, body, isMandatory);
      for (const one of this.passFull(envelope, body)) connection.track(one, body.length);
      confirms?.refused();
      return undefined;
    }
    for (const one of appended) connection.track(one, body.length);
    if (isMandatory && appended.length === 0 && this.receivers === 0) this.giveBack(envelope, body);
    confirms?.taken(appended);
    return undefined;
  }

  private async postWhenRoom(
    full: Queue,
    envelope: Envelope,
    body: Buffer,
    isMandatory: boolean,
  ): Promise<void> {
    this.waiting ??= new AbortController();
    const { signal } = this.waiting;
    await full.waitForRoom(signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    if (!signal.aborted) await this.post(envelope, body, isMandatory);
  }

  /** The queue that has no room. Errors: any other. */
  private fullQueue(error: unknown): Queue {
    const name = isBrokerError(error, "QUEUE_FULL") ? error.context["queue"] : undefined;
    const queue = typeof name === "string" ? this.broker.queue(name) : undefined;
    if (queue === undefined) throw error;
    return queue;
  }

  /** Hot: what `publish` says beside its body. Errors: those of what it says, and of who may not. */
  envelopeOf(publish: IncomingPublish): Envelope {
    if (publish.isImmediate) throw new ProtocolError("NOT_IMPLEMENTED", "immediate=true");
    const { addressBytes, propertiesBytes } = publish;
    const slot =
      (addressBytes.length * 7 + addressBytes[addressBytes.length - 1]! + propertiesBytes.length) &
      (ENVELOPES - 1);
    const known = this.envelopes[slot];
    return known?.isOf(publish) === true ? known : this.newEnvelope(publish, slot);
  }

  /** Kept when the same is seen for the second time: properties with an id are never seen again. */
  private newEnvelope(publish: IncomingPublish, slot: number): Envelope {
    const view = publish.exchange === "" ? undefined : this.exchangeOf(publish.exchange);
    const envelope = this.connection.realm.envelopes.write(publish, this.publisher);
    envelope.view = view;
    if (!envelope.isLasting) return envelope;
    const hash = hashOf(publish.propertiesBytes, hashOf(publish.addressBytes, 1));
    if (this.hashes[slot] === hash) {
      envelope.detach();
      this.envelopes[slot] = envelope;
    }
    this.hashes[slot] = hash;
    return envelope;
  }

  /** Hot: everything that takes the message. Errors: NOT_FOUND, ACCESS_REFUSED, those of the broker. */
  handOver(envelope: Envelope, body: Buffer): readonly Appended[] {
    const { broker } = this;
    this.receivers = 0;
    if (envelope.exchange === "") return this.toQueue(envelope, body);
    let { view } = envelope;
    if (view === undefined || view.isGone) {
      view = this.exchangeOf(envelope.exchange);
      envelope.view = view;
    }
    this.assertMayWrite(view, envelope.subject);
    const message = this.messageOf(envelope, body, view.isDelayed);
    const broadcast =
      envelope.alsoTo.length === 0
        ? broker.broadcast(message, view.brokerName)
        : broker.broadcast(message, view.brokerName, this.copySubjects(envelope, view));
    this.receivers = broadcast.receivers;
    return broadcast.appended;
  }

  /** A queue that refuses the message keeps it from no other. */
  private passFull(envelope: Envelope, body: Buffer): readonly Appended[] {
    const { view } = envelope;
    if (view === undefined) {
      const message = this.messageOf(envelope, body, false);
      return this.append(message, withRoom(this.queuesOf(envelope, this.queueOf(envelope)), message));
    }
    const message = this.messageOf(envelope, body, view.isDelayed);
    return this.broker.broadcastPastFull(message, view.brokerName, envelope.alsoTo.map(subjectOf)).appended;
  }

  /** Tells that nobody was there for a mandatory message. */
  giveBack(envelope: Envelope, body: Buffer): void {
    const { writer, frameMax } = this.connection;
    this.connection.realm.counters.returned += 1;
    const content = new OutgoingContent();
    placeOriginal(content, envelope.headers, 0);
    content.setBody(body);
    writeReturn(writer, this.channel, frameMax, NO_ROUTE, "NO_ROUTE", content);
  }

  /** Whether somebody took the message that was handed over last. */
  wasTaken(appended: readonly Appended[]): boolean {
    return appended.length > 0 || this.receivers > 0;
  }

  /** Subjects of the carbon copies. Errors: ACCESS_REFUSED, as for a message that is sent there itself. */
  private copySubjects({ alsoTo }: Envelope, view: ExchangeView): string[] {
    const subjects = alsoTo.map(subjectOf);
    for (const subject of subjects) this.assertMayWrite(view, subject);
    return subjects;
  }

  private messageOf(envelope: Envelope, body: Buffer, isDelayed: boolean): PublishedMessage {
    return new PublishedMessage(envelope, body, this.connection.nowMs, isDelayed);
  }

  private toQueue(envelope: Envelope, body: Buffer): readonly Appended[] {
    const { broker } = this;
    if (envelope.isDirectReply) {
      this.assertMayAnswer(envelope);
      const broadcast = broker.broadcast(this.messageOf(envelope, body, false));
      this.receivers = broadcast.receivers;
      return broadcast.appended;
    }
    const queue = this.queueOf(envelope);
    if (envelope.alsoTo.length > 0) return this.toQueues(envelope, queue, body);
    return queue === undefined ? NOWHERE : [queue.append(this.messageOf(envelope, body, false))];
  }

  /** With its carbon copies, each queue once, as one step. */
  private toQueues(envelope: Envelope, first: Queue | undefined, body: Buffer): readonly Appended[] {
    const message = this.messageOf(envelope, body, false);
    const queues = this.queuesOf(envelope, first);
    for (const queue of queues) queue.assertAccepts(message);
    return this.append(message, queues);
  }

  private queuesOf(envelope: Envelope, first: Queue | undefined): Queue[] {
    const copies = envelope.alsoTo.map((name) => {
      const queue = this.broker.queue(brokerName(name));
      this.assertMayAppend(queue, name);
      return queue;
    });
    return [...new Set([first, ...copies])].filter((queue) => queue !== undefined);
  }

  private append(message: PublishedMessage, queues: readonly Queue[]): readonly Appended[] {
    const appended: Appended[] = [];
    this.broker.atomically(() => {
      for (const queue of queues) appended.push(queue.append(message));
    });
    return appended;
  }

  private queueOf(envelope: Envelope): Queue | undefined {
    let { queue } = envelope;
    if (queue === undefined || queue.isDeleted) {
      queue = this.broker.queue(brokerName(envelope.queueName));
      envelope.queue = queue;
    }
    this.assertMayAppend(queue, envelope.queueName);
    return queue;
  }

  private assertMayAppend(queue: Queue | undefined, name: string): void {
    const { access } = this.connection;
    if (queue !== undefined && !access.mayWrite("queue", queue.name))
      throw accessRefused("queue", name, access.user);
  }

  private exchangeOf(name: string): ExchangeView {
    const view = this.connection.realm.exchanges.find(name);
    if (view === undefined) throw notFound("exchange", name);
    if (view.isInternal)
      throw new ProtocolError("ACCESS_REFUSED", `cannot publish to internal ${thing("exchange", name)}`);
    return view;
  }

  private assertMayWrite(view: ExchangeView, subject: string): void {
    const { access } = this.connection;
    const isAllowed =
      view.name === AMQ_TOPIC ? access.mayPublish(subject) : access.mayWrite("exchange", view.brokerName);
    if (!isAllowed) throw accessRefused("exchange", view.name, access.user);
  }

  /** Whoever knows an inbox may publish there. */
  private assertMayAnswer({ subject, routingKey }: Envelope): void {
    const { access } = this.connection;
    if (subject.startsWith(INBOX_PREFIX) || access.mayPublish(subject)) return;
    throw accessRefused("queue", routingKey, access.user);
  }

  private report(error: unknown): void {
    const { host, peer } = this.connection;
    host.log.warn({ peer: peer.address, error: String(error) }, "a published message was not stored");
  }
}

function hashOf(bytes: Uint8Array, seed: number): number {
  let hash = seed;
  for (let i = 0; i < bytes.length; i += 1) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
  return hash;
}

/** What a channel that is in a mode refuses of the other. */
export function modeError(from: "confirm" | "tx", to: "confirm" | "tx"): ProtocolError {
  return preconditionFailed(`cannot switch from ${from} to ${to} mode`);
}
