// What one client may do and asks for: publishing and subscribing, until its connection ends.

import { BrokerError } from "../../broker-error.js";
import type { Access, ConnectionLimits } from "../../network/host.js";
import type { SocketWriter } from "../../network/socket-writer.js";
import { subjectText, toCanonicalPattern, toCanonicalSubject } from "./address.js";
import * as errors from "./errors.js";
import type { Outbound } from "./outbound.js";
import type { Behind } from "./pressure.js";
import type { Publication } from "./publication.js";
import type { PublishRun } from "./publish-run.js";
import type { NatsShared } from "./shared.js";
import { Storing } from "./storing.js";
import { type PublishedSubject, SubjectTable } from "./subject-table.js";
import { NatsSubscription, type Receiving } from "./subscription.js";
import { Subscriptions } from "./subscriptions.js";
import { Bytes } from "./wire/bytes.js";
import { type ConnectOptions, parseConnect, SILENT } from "./wire/connect.js";
import type { ClientOperations } from "./wire/parser.js";
import { errorLine, NO_RESPONDERS, OK, PONG } from "./wire/replies.js";

/** The connection that it is a client of. */
export interface ClientLink {
  readonly writer: SocketWriter;
  readonly limits: ConnectionLimits;
  readonly clientId: number;
  /** The client has said who it is. The connection lets it in, now or later, or ends. */
  admit(options: ConnectOptions): void;
  /** Reads nothing more, for one more reason. */
  hold(): void;
  /** One reason less. */
  release(): void;
  /** Sends what there is, and hangs up. */
  finish(): void;
  /** Tells the client why first. */
  refuse(text: string): void;
  /** Hangs up at once: the client does not read what it is sent. */
  cutSlow(why: string): void;
  /** Hangs up at once: something is wrong with us. */
  failed(error: unknown): void;
  warn(fields: Readonly<Record<string, unknown>>, text: string): void;
}

const NOTHING = new Bytes(Buffer.alloc(0));

const UNDERSCORE = 0x5f;
const LETTER_Q = 0x71;

export class NatsClient implements ClientOperations, Receiving, Behind {
  readonly outbound: Outbound;
  hasHeaders: boolean;
  delivered: number;
  echoToken: string | undefined;
  isGivenUp: boolean;
  options: ConnectOptions;
  /** Undefined until it has said who it is. */
  access: Access | undefined;
  private readonly shared: NatsShared;
  private readonly link: ClientLink;
  private readonly subjects: SubjectTable;
  private readonly subscriptions: Subscriptions;
  private readonly storing: Storing;
  /** What is being looked at. */
  private source: Bytes;
  /** Whether somebody may look later at what was looked at before that, since the chunk began. */
  private isAnythingKept: boolean;
  /** When the chunk was read that is being looked at. */
  private nowMs: number;
  /** Its number: permissions are asked for again with each. */
  private chunk: number;

  constructor(shared: NatsShared, link: ClientLink) {
    const { host } = shared;
    this.outbound = shared.outbound;
    this.hasHeaders = false;
    this.delivered = 0;
    this.echoToken = undefined;
    this.isGivenUp = false;
    this.options = SILENT;
    this.access = host.anonymous;
    this.shared = shared;
    this.link = link;
    this.subjects = new SubjectTable();
    this.subscriptions = new Subscriptions(host.broker.live);
    this.storing = new Storing(link);
    this.source = NOTHING;
    this.isAnythingKept = false;
    this.nowMs = 0;
    this.chunk = 0;
  }

  get writer(): SocketWriter {
    return this.link.writer;
  }

  get subscriptionCount(): number {
    return this.subscriptions.count;
  }

  /** What it does from now on, it does at `nowMs`. */
  beginChunk(nowMs: number): void {
    this.nowMs = nowMs;
    this.chunk += 1;
  }

  opened(options: ConnectOptions, access: Access): void {
    this.options = options;
    this.access = access;
    this.hasHeaders = options.headers;
    this.echoToken = options.echo ? undefined : this.shared.echoToken(this.link.clientId);
    if (options.verbose) this.writer.view(OK);
  }

  /** Gives back what belongs to it. */
  dispose(): void {
    this.subscriptions.removeAll();
    this.subjects.clear();
    this.shared.pressure.caughtUp(this);
  }

  connect(json: string): void {
    this.handOver();
    const options = parseConnect(json, this.options);
    if (options === undefined) return void this.refuse(errors.PARSER_ERROR);
    if (options.protocol < 0 || options.protocol > 1) return void this.refuse(errors.INVALID_CLIENT_PROTOCOL);
    if (options.noResponders && !options.headers)
      return void this.refuse(errors.NO_RESPONDERS_REQUIRES_HEADERS);
    this.link.admit(options);
  }

  /** Hot: every message that a client publishes. */
  publish(
    bytes: Buffer,
    subjectStart: number,
    hash: number,
    isSameSubject: boolean,
    tailStart: number,
    replyEnd: number,
    headStart: number,
    bodyStart: number,
    bodyEnd: number,
  ): void {
    const { options } = this;
    const { run, counters } = this.shared;
    if (bodyStart > headStart && !options.headers) return void this.refuse(errors.HEADERS_NOT_SUPPORTED);
    const hasReply = replyEnd > tailStart;
    if (hasReply && namesQueue(bytes, tailStart) && !this.mayBeAnsweredAt(bytes, tailStart, replyEnd)) return;
    if (!isSameSubject || !run.takes(bytes)) this.beginRun(bytes, subjectStart, tailStart, hash);
    run.add(tailStart, replyEnd, headStart, bodyStart, bodyEnd);
    counters.received += 1;
    counters.receivedBytes += bodyEnd - headStart;
    // What is confirmed, or found fault with, one by one is handed over so.
    if (options.verbose || options.pedantic) this.handOver();
  }

  /** An answer is appended to that queue by whoever gives it, who may do more than the one who asks. */
  private mayBeAnsweredAt(bytes: Buffer, start: number, end: number): boolean {
    const text = subjectText(bytes.subarray(start, end));
    if (text !== undefined && this.access?.mayPublish(toCanonicalSubject(text)) === true) return true;
    this.handOver();
    this.shared.counters.refusedPublishes += 1;
    this.link.warn({ reply: text }, "a publish was refused for its reply");
    return this.tell(errors.publishViolation(text ?? ""));
  }

  /** Hot where subjects change. */
  private beginRun(bytes: Buffer, subjectStart: number, subjectEnd: number, hash: number): void {
    const { run } = this.shared;
    if (run.count > 0) this.handOver();
    if (bytes !== this.source.bytes) {
      if (this.source.isKept) this.isAnythingKept = true;
      this.source = new Bytes(bytes);
    }
    const to = this.subjects.find(bytes, subjectStart, subjectEnd - 1, hash);
    run.begin(to, this, this.source, subjectStart, subjectEnd, this.nowMs);
  }

  /** Lets go of what was looked at. Returns whether somebody else did not. */
  endChunk(): boolean {
    const isKept = this.isAnythingKept || this.source.isKept;
    this.isAnythingKept = false;
    this.source = NOTHING;
    return isKept;
  }

  /** Hot: hands over what was published. Everything else that the client says waits for it. */
  handOver(): void {
    const { run } = this.shared;
    const { to } = run;
    if (to === undefined) return;
    const { options } = this;
    if (options.verbose) this.writer.view(OK);
    if (to.askedIn !== this.chunk) this.ask(to);
    if (!to.isAllowed) {
      for (let index = 0; index < run.count; index += 1) this.refusePublish(to);
    } else {
      if (options.pedantic && !to.isLiteral) this.tell(errors.INVALID_PUBLISH_SUBJECT);
      this.handOverTo(run);
    }
    run.clear();
  }

  /** Hot. */
  private handOverTo(run: PublishRun): void {
    const receivers = this.broadcastRun(run);
    if (receivers === undefined) {
      for (let index = 0; index < run.count; index += 1) this.broadcast(run.at(index));
    } else if (receivers === 0 && run.hasReplies && this.options.noResponders) {
      for (let index = 0; index < run.count; index += 1) this.answerNobody(run.at(index));
    }
  }

  /** Hot: undefined when each message is to be broadcast, so that an error is that of one. */
  private broadcastRun(run: PublishRun): number | undefined {
    try {
      return this.shared.host.broker.broadcastRun(run);
    } catch (error) {
      if (error instanceof BrokerError) return undefined;
      throw error;
    }
  }

  private broadcast(message: Publication): void {
    const { text } = message.to;
    try {
      const { appended, receivers } = this.shared.host.broker.broadcast(message);
      if (appended.length > 0) this.storing.follow(appended, message.sizeBytes, text, this.notStored);
      else if (receivers === 0 && this.options.noResponders) this.answerNobody(message);
    } catch (error) {
      this.notStored(error, text);
    }
  }

  /** A number that is taken stands for what it was given first: the rest of such a line is not looked at. */
  subscribe(subjectBytes: Buffer, queueBytes: Buffer | undefined, sid: Buffer): void {
    this.handOver();
    if (!this.subscriptions.has(sid) && !this.begin(subjectBytes, queueBytes, sid)) return;
    if (this.options.verbose) this.writer.view(OK);
  }

  /** Whether there is a subscription now; else the client is told why not. */
  private begin(subjectBytes: Buffer, queueBytes: Buffer | undefined, sid: Buffer): boolean {
    const { subscriptions } = this;
    const text = subjectText(subjectBytes);
    const pattern = text === undefined ? undefined : toCanonicalPattern(text);
    if (text === undefined || pattern === undefined) return this.tell(errors.INVALID_SUBJECT);
    const queue = queueBytes?.toString("utf8");
    if (this.access?.maySubscribe(pattern) !== true) {
      this.link.warn({ pattern }, "a subscription was refused");
      return this.tell(errors.subscriptionViolation(text, queue));
    }
    if (subscriptions.count >= this.link.limits.subscriptionsMax)
      return this.tell(errors.SUBSCRIPTIONS_EXCEEDED);
    try {
      subscriptions.add(new NatsSubscription(this, Buffer.from(sid), pattern, queue));
      return true;
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      return this.tell(errors.INVALID_SUBJECT);
    }
  }

  unsubscribe(sid: Buffer, max: number): void {
    this.handOver();
    if (this.options.verbose) this.writer.view(OK);
    const subscription = this.subscriptions.get(sid);
    if (subscription === undefined) return;
    if (max > subscription.delivered) subscription.max = max;
    else this.subscriptions.remove(subscription);
  }

  ping(): void {
    this.handOver();
    this.writer.view(PONG);
  }

  leave(): void {
    this.handOver();
    this.link.finish();
  }

  refuse(text: string): void {
    this.handOver();
    this.link.refuse(text);
  }

  refuseLocked(): void {
    this.link.refuse(errors.AUTHORIZATION_VIOLATION);
  }

  ended(subscription: NatsSubscription): void {
    this.subscriptions.remove(subscription);
  }

  congested(): void {
    if (this.writer.pendingBytes <= this.link.limits.pendingBytesMax) this.shared.pressure.fellBehind(this);
    else this.link.cutSlow("too much waits for it");
  }

  /** Hot: whether the client may publish there. That may have changed since the last chunk was read. */
  private ask(to: PublishedSubject): void {
    to.askedIn = this.chunk;
    to.isAllowed = to.subject !== undefined && this.access?.mayPublish(to.subject) === true;
  }

  private refusePublish({ subject, text }: PublishedSubject): void {
    this.shared.counters.refusedPublishes += 1;
    if (subject === undefined) return void this.tell(errors.INVALID_PUBLISH_SUBJECT);
    this.link.warn({ subject }, "a publish was refused");
    this.tell(errors.publishViolation(text));
  }

  private readonly notStored = (error: unknown, text: string): void => {
    if (!(error instanceof BrokerError)) return void this.link.failed(error);
    this.shared.counters.refusedPublishes += 1;
    this.link.warn({ subject: text, error }, "a message was not stored");
    this.tell(errors.refusedPublish(text, error.code));
  };

  /** Nobody is there to answer: the one who asks is told at once, on its own subscription. */
  private answerNobody({ hasReply, replyBytes }: Publication): void {
    if (!hasReply) return;
    this.shared.counters.noResponders += 1;
    const reply = subjectText(replyBytes);
    if (reply === undefined) return;
    const subscription = this.subscriptions.matching(toCanonicalSubject(reply));
    if (subscription === undefined) return;
    this.writer.text(`HMSG ${reply} ${subscription.sid} `);
    this.writer.view(NO_RESPONDERS);
    subscription.delivered += 1;
    if (subscription.delivered === subscription.max) this.ended(subscription);
  }

  /** Answers false, for what was not done. */
  private tell(text: string): false {
    this.writer.text(errorLine(text));
    return false;
  }
}

/** Hot: whether it may begin with `_queue`: inboxes begin with an underscore too. */
function namesQueue(bytes: Buffer, start: number): boolean {
  return bytes[start] === UNDERSCORE && bytes[start + 1] === LETTER_Q;
}
