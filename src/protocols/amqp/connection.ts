// One client's connection: bytes in and out, its channels, what slows it down, and its end.

import type { Duplex } from "node:stream";
import type { Appended } from "../../broker/appended.js";
import type { Session } from "../../broker/session.js";
import { readInt32 } from "../../bytes/cursor.js";
import type { Timer } from "../../io/io.js";
import type { Access, ConnectionView, Peer, ProtocolHost, ServedConnection } from "../../network/host.js";
import { SocketWriter } from "../../network/socket-writer.js";
import { Channel } from "./channel.js";
import { ChannelFeed, type FeedOwner } from "./channel-feed.js";
import type { ChannelHost, ServedChannel } from "./channel-host.js";
import { Control, type Controlled } from "./control.js";
import { toProtocolError } from "./errors.js";
import {
  InputGate,
  REASON_AUTHENTICATING,
  REASON_BLOCKED,
  REASON_HELD,
  REASON_TURN,
  REASON_UNCOMMITTED,
} from "./input-gate.js";
import {
  INITIAL_FRAME_MAX,
  isProtocolHeader,
  PROTOCOL_HEADER,
  PROTOCOL_HEADER_BYTES,
} from "./negotiation.js";
import type { Realm } from "./realm.js";
import type { AlarmListener } from "./storage-alarm.js";
import { Uncommitted } from "./uncommitted.js";
import { writeMethodFrame } from "./wire/basic.js";
import { FRAME_METHOD, FrameReader, unexpectedFrame } from "./wire/frames.js";
import { type MethodFields, type MethodName, methodId } from "./wire/methods.js";
import { ProtocolError } from "./wire/protocol-error.js";

/** What one connection may send before others get their turn. */
const TURN_BYTES_MAX = 512 * 1024;
/** Frames that wait for busy channels: beyond this nothing is read until half of them are gone. */
const HELD_BYTES_MAX = 1024 * 1024;
/** What a frame that waits costs besides its payload. */
const HELD_FRAME_BYTES = 128;
const TOO_MANY_BODIES = "too many bytes of messages that are not whole";
const NO_BYTES = Buffer.alloc(0);

export class Connection implements ServedConnection, ChannelHost, FeedOwner, Controlled, AlarmListener {
  readonly closed: Promise<void>;
  readonly host: ProtocolHost;
  readonly realm: Realm;
  readonly peer: Peer;
  readonly session: Session;
  readonly writer: SocketWriter;
  nowMs: number;
  readonly messageBytesMax: number;
  private readonly socket: Duplex;
  private readonly control: Control;
  private readonly reader: FrameReader;
  private readonly gate: InputGate;
  private readonly uncommitted: Uncommitted;
  private readonly feeds: Map<number, ChannelFeed>;
  /** The one that got a frame last. */
  private lastFeed: ChannelFeed | undefined;
  /** How many channels are at work. */
  private busyCount: number;
  private whenIdle: (() => void)[];
  private turnBytes: number;
  /** Of frames that wait for busy channels. */
  private heldBytes: number;
  /** For bodies that are not whole. */
  private reservedBytes: number;
  /** Where frames begin is not known any more, or does not matter. */
  private isDeaf: boolean;
  private hasPublished: boolean;
  private isShuttingDown: boolean;
  private stallTimer: Timer | undefined;
  private isOver: boolean;
  private ended: () => void;

  constructor(realm: Realm, socket: Duplex, peer: Peer) {
    const { host } = realm;
    const { limits } = host;
    this.realm = realm;
    this.host = host;
    this.peer = peer;
    this.socket = socket;
    this.session = host.broker.openSession(`amqp connection ${peer.id} from ${peer.address}`);
    this.writer = new SocketWriter(socket, limits.pendingBytesMax);
    this.writer.onRoom = () => this.hasRoom();
    this.nowMs = host.clock.nowMs();
    this.messageBytesMax = limits.messageBytesMax;
    this.control = new Control(this, limits);
    this.reader = new FrameReader(INITIAL_FRAME_MAX, (type, channel, bytes, start, end) =>
      this.takeFrame(type, channel, bytes, start, end),
    );
    this.gate = new InputGate(
      () => socket.pause(),
      () => this.readOn(),
    );
    this.uncommitted = new Uncommitted(
      realm.alarm,
      () => this.gate.close(REASON_UNCOMMITTED),
      () => this.isStored(),
    );
    this.feeds = new Map();
    this.lastFeed = undefined;
    this.busyCount = 0;
    this.whenIdle = [];
    this.turnBytes = 0;
    this.heldBytes = 0;
    this.reservedBytes = 0;
    this.isDeaf = false;
    this.hasPublished = false;
    this.isShuttingDown = false;
    this.stallTimer = undefined;
    this.isOver = false;
    this.ended = () => undefined;
    this.closed = new Promise((resolve) => {
      this.ended = resolve;
    });
    realm.alarm.add(this);
    socket.on("data", (chunk: Buffer) => this.takeBytes(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => void this.finish());
  }

  get access(): Access {
    return this.control.access;
  }

  get frameMax(): number {
    return this.control.frameMax;
  }

  get isListening(): boolean {
    return this.gate.isOpen;
  }

  can(name: string): boolean {
    return this.control.can(name);
  }

  send<N extends MethodName>(channelNumber: number, name: N, fields: MethodFields<N>): void {
    writeMethodFrame(this.writer, channelNumber, name, fields);
  }

  describe(): ConnectionView {
    return {
      user: this.control.user,
      client: this.control.clientName,
      pendingBytes: this.writer.pendingBytes,
      subscriptions: this.feeds.size,
    };
  }

  get consumerCount(): number {
    let count = 0;
    for (const { channel } of this.feeds.values()) count += channel?.consumerCount ?? 0;
    return count;
  }

  shutDown(): void {
    if (this.isShuttingDown) return;
    this.isShuttingDown = true;
    this.endIfDone();
  }

  cut(reason: string): void {
    if (this.isOver) return;
    this.log("warn", `closing the connection: ${reason}`);
    this.control.stop();
    this.writer.discard();
    this.socket.destroy();
    void this.finish();
  }

  /** Sends what there is, and ends. */
  endSoftly(): void {
    this.writer.end();
  }

  track(appended: Appended, bodyBytes: number): void {
    this.uncommitted.add(appended.committed, bodyBytes);
    if (this.hasPublished && this.realm.alarm.reason === undefined) return;
    this.hasPublished = true;
    if (this.realm.alarm.reason !== undefined) this.block(this.realm.alarm.reason);
  }

  stored(): Promise<unknown> | undefined {
    return this.uncommitted.stored();
  }

  congested(): void {
    if (this.isOver) return;
    for (const { channel } of this.feeds.values()) channel?.pause();
    if (this.stallTimer === undefined) this.watchStall(this.writer.pendingBytes);
  }

  alarmChanged(reason: string | undefined): void {
    if (reason === undefined) this.unblock();
    else if (this.hasPublished) this.block(reason);
  }

  fail(channelNumber: number, error: unknown, method?: MethodName): void {
    const [classId, methodNumber] = method === undefined ? [0, 0] : methodId(method);
    this.failWith(channelNumber, error, (classId << 16) | methodNumber);
  }

  // What channel 0 asks for.

  pauseListening(): void {
    this.gate.close(REASON_AUTHENTICATING);
  }

  listen(): void {
    this.gate.open(REASON_AUTHENTICATING);
  }

  negotiated(): void {
    this.reader.frameMax = this.frameMax;
  }

  idle(): Promise<void> {
    if (this.busyCount === 0 || this.isOver) return Promise.resolve();
    return new Promise((resolve) => this.whenIdle.push(resolve));
  }

  async giveBack(): Promise<void> {
    const channels = [...this.feeds.values()].map(({ channel }) => channel);
    for (const feed of this.feeds.values()) feed.drop();
    this.feeds.clear();
    this.lastFeed = undefined;
    await Promise.all(channels.map((channel) => channel?.close()));
    await this.session.close().catch((error: unknown) => this.log("error", "deleting its queues", error));
  }

  log(level: "debug" | "info" | "warn" | "error", text: string, error?: unknown): void {
    const { id, address } = this.peer;
    const fields = { protocol: "amqp", connection: id, peer: address, user: this.control.user };
    this.host.log[level](error === undefined ? fields : { ...fields, error }, text);
  }

  // What the feeds of channels ask for.

  open(feed: ChannelFeed): ServedChannel {
    const channel = new Channel(this, feed.number);
    this.send(feed.number, "channel.open-ok", { channelId: NO_BYTES });
    return channel;
  }

  async closeFor(feed: ChannelFeed): Promise<void> {
    await feed.channel?.close();
    if (this.feeds.get(feed.number) !== feed) return;
    this.send(feed.number, "channel.close-ok", {});
    this.release(feed);
  }

  release(feed: ChannelFeed): void {
    this.feeds.delete(feed.number);
    if (this.lastFeed === feed) this.lastFeed = undefined;
  }

  answerClose(feed: ChannelFeed): void {
    this.send(feed.number, "channel.close-ok", {});
  }

  // Bytes in.

  private takeBytes(chunk: Buffer): void {
    if (this.isDeaf) return;
    this.control.heard();
    this.nowMs = this.host.clock.nowMs();
    this.reader.push(chunk);
    if (!this.gate.isOpen) return;
    this.readFrames();
    this.turnBytes += chunk.length;
    if (this.turnBytes < TURN_BYTES_MAX) return;
    this.turnBytes = 0;
    this.gate.close(REASON_TURN);
    this.host.clock.defer(() => this.gate.open(REASON_TURN));
  }

  private readOn(): void {
    if (this.isOver) return;
    this.nowMs = this.host.clock.nowMs();
    this.readFrames();
    if (this.gate.isOpen) this.socket.resume();
  }

  private readFrames(): void {
    if (!this.control.isBegun && !this.readHeader()) return;
    try {
      this.reader.read();
    } catch (error) {
      this.isDeaf = true;
      this.control.failDeaf(toProtocolError(error));
    }
  }

  /** Returns whether the client speaks this protocol. */
  private readHeader(): boolean {
    const header = this.reader.take(PROTOCOL_HEADER_BYTES);
    if (header === undefined) return false;
    if (isProtocolHeader(header)) {
      this.control.begin();
      return true;
    }
    this.isDeaf = true;
    this.log("warn", `closing the connection: it begins with ${JSON.stringify(header.toString("latin1"))}`);
    this.writer.view(PROTOCOL_HEADER);
    this.endSoftly();
    return false;
  }

  /** Hot: every frame. Returns whether to go on reading. */
  private takeFrame(type: number, channel: number, bytes: Buffer, start: number, end: number): boolean {
    if (channel === 0 || !this.control.isRunning) this.takeControlFrame(type, channel, bytes, start, end);
    else if (!this.isShuttingDown) this.takeChannelFrame(type, channel, bytes, start, end);
    return this.gate.isOpen && !this.isDeaf;
  }

  private takeControlFrame(type: number, channel: number, bytes: Buffer, start: number, end: number): void {
    try {
      if (channel === 0) this.control.frame(type, bytes, start, end);
      else if (!this.control.isStopping) throw unexpectedFrame(type, bytes, start, end);
    } catch (error) {
      this.failWith(0, error, type === FRAME_METHOD && end - start >= 4 ? readInt32(bytes, start) : 0);
    }
  }

  private takeChannelFrame(type: number, channel: number, bytes: Buffer, start: number, end: number): void {
    let feed = this.lastFeed;
    if (feed === undefined || feed.number !== channel) {
      feed = this.feeds.get(channel) ?? this.newFeed(channel);
      if (feed === undefined) return;
      this.lastFeed = feed;
    }
    if (feed.isBusy) this.hold(feed, type, bytes, start, end);
    else this.feed(feed, type, bytes, start, end);
  }

  private feed(feed: ChannelFeed, type: number, bytes: Buffer, start: number, end: number): void {
    const reserved = feed.reservedBytes;
    try {
      const pending = feed.frame(type, bytes, start, end);
      if (pending !== undefined) this.wait(feed, pending);
    } catch (error) {
      this.failWith(feed.number, error, feed.methodKey);
    }
    this.reservedBytes += feed.reservedBytes - reserved;
    if (this.reservedBytes > this.messageBytesMax + HELD_BYTES_MAX) this.checkReserved();
  }

  /** Channels that were closed meanwhile have let go of what they had. */
  private checkReserved(): void {
    this.reservedBytes = 0;
    for (const { reservedBytes } of this.feeds.values()) this.reservedBytes += reservedBytes;
    if (this.reservedBytes > this.messageBytesMax + HELD_BYTES_MAX)
      this.failWith(0, new ProtocolError("RESOURCE_ERROR", TOO_MANY_BODIES), 0);
  }

  /** What comes next for the channel waits. */
  private wait(feed: ChannelFeed, pending: Promise<void>): void {
    feed.isBusy = true;
    this.busyCount += 1;
    const { methodKey } = feed;
    void pending
      .catch((error: unknown) => this.failWith(feed.number, error, methodKey))
      .then(() => {
        feed.isBusy = false;
        this.busyCount -= 1;
        this.drain(feed);
        if (this.busyCount === 0) this.isIdle();
      });
  }

  private drain(feed: ChannelFeed): void {
    this.nowMs = this.host.clock.nowMs();
    while (!feed.isBusy) {
      const next = feed.nextWaiting();
      if (next === undefined) break;
      const { type, payload } = next;
      this.heldBytes -= heldSize(payload.length);
      if (!this.isOver) this.takeChannelFrame(type, feed.number, payload, 0, payload.length);
    }
    if (this.heldBytes * 2 < HELD_BYTES_MAX) this.gate.open(REASON_HELD);
  }

  private hold(feed: ChannelFeed, type: number, bytes: Buffer, start: number, end: number): void {
    feed.hold(type, bytes.subarray(start, end));
    this.heldBytes += heldSize(end - start);
    if (this.heldBytes >= HELD_BYTES_MAX) this.gate.close(REASON_HELD);
  }

  private newFeed(number: number): ChannelFeed | undefined {
    const { channelMax } = this.control;
    if (this.feeds.size >= channelMax) {
      const text = `number of channels opened (${this.feeds.size}) has reached the negotiated channel_max (${channelMax})`;
      this.failWith(0, new ProtocolError("NOT_ALLOWED", text), 0);
      return undefined;
    }
    const feed = new ChannelFeed(this, number);
    this.feeds.set(number, feed);
    return feed;
  }

  // What goes wrong, and the end.

  private failWith(channelNumber: number, error: unknown, methodKey: number): void {
    if (this.isOver) return;
    const failure = toProtocolError(error);
    if (failure.reply === "INTERNAL_ERROR") this.log("error", "an operation failed", error);
    const feed = this.feeds.get(channelNumber);
    if (!failure.isOfChannel) this.control.fail(failure, methodKey);
    else if (feed !== undefined && !feed.isClosing) this.failChannel(feed, failure, methodKey);
  }

  private failChannel(feed: ChannelFeed, failure: ProtocolError, methodKey: number): void {
    const { number, channel } = feed;
    this.log("info", `closing channel ${number}: ${failure.message}`);
    feed.drop();
    void channel?.close();
    this.send(number, "channel.close", {
      replyCode: failure.code,
      replyText: failure.replyText,
      classId: methodKey >>> 16,
      methodId: methodKey & 0xffff,
    });
  }

  private block(reason: string): void {
    if (this.gate.has(REASON_BLOCKED) || !this.control.isRunning) return;
    this.gate.close(REASON_BLOCKED);
    this.log("warn", `the client is held back: ${reason}`);
    if (this.can("connection.blocked")) this.send(0, "connection.blocked", { reason });
  }

  private unblock(): void {
    if (!this.gate.has(REASON_BLOCKED)) return;
    if (this.can("connection.blocked") && this.control.isRunning) this.send(0, "connection.unblocked", {});
    this.gate.open(REASON_BLOCKED);
  }

  /** What was published is stored, or half of it where that was much. */
  private isStored(): void {
    this.gate.open(REASON_UNCOMMITTED);
    this.endIfDone();
  }

  /** Every channel has done what it was told. */
  private isIdle(): void {
    const waiting = this.whenIdle;
    this.whenIdle = [];
    for (const resolve of waiting) resolve();
    this.endIfDone();
  }

  /** What the client was told to be done is, before the server ends. */
  private endIfDone(): void {
    if (this.isShuttingDown && this.busyCount === 0 && this.uncommitted.sizeBytes === 0)
      this.control.sayGoodbye();
  }

  private hasRoom(): void {
    this.stallTimer?.cancel();
    this.stallTimer = undefined;
    for (const { channel } of [...this.feeds.values()]) channel?.resume();
  }

  /** A client that takes nothing for so long while much waits for it is cut. */
  private watchStall(pendingBytes: number): void {
    const { stallMs } = this.host.limits;
    const look = (): void => {
      const { pendingBytes: nowPending } = this.writer;
      if (nowPending < pendingBytes) this.watchStall(nowPending);
      else this.cut(`it took nothing for ${stallMs} ms while ${nowPending} bytes waited for it`);
    };
    this.stallTimer = this.host.clock.setTimer(look, stallMs, true);
  }

  private async finish(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    this.isDeaf = true;
    if (!this.control.isStopping)
      this.log(this.control.isRunning ? "info" : "debug", "the client closed its socket");
    this.stallTimer?.cancel();
    this.realm.alarm.remove(this);
    this.control.stop();
    this.writer.discard();
    this.isIdle();
    await this.giveBack();
    this.ended();
  }
}

function heldSize(payloadBytes: number): number {
  return payloadBytes + HELD_FRAME_BYTES;
}
