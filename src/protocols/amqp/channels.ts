// The channels of one connection: each gets what is for it, in order, and waits while it is at work on what came before.

import { Channel } from "./channel.js";
import { ChannelFeed, type FeedOwner } from "./channel-feed.js";
import type { ChannelHost, ServedChannel } from "./channel-host.js";
import { toProtocolError } from "./errors.js";
import { ProtocolError } from "./wire/protocol-error.js";

/** Frames that wait for busy channels: beyond this nothing is read until half of them are gone. */
const HELD_BYTES_MAX = 1024 * 1024;
/** What a frame that waits costs besides its payload. */
const HELD_FRAME_BYTES = 128;
const TOO_MANY_BODIES = "too many bytes of messages that are not whole";
const NO_BYTES = Buffer.alloc(0);

/** The connection, as its channels' table needs it. */
export interface ChannelsOwner extends ChannelHost {
  readonly channelMax: number;
  readonly messageBytesMax: number;
  /** Whether channels have anything more to do. */
  readonly isClosed: boolean;
  /** Too many frames wait, or few enough again. */
  holdInput(isHeld: boolean): void;
  /** Waiting frames are about to be taken. */
  beginTurn(): void;
  /** Every channel has done what it was told. */
  becameIdle(): void;
  failConnection(error: ProtocolError, methodKey: number): void;
  log(level: "info" | "error", text: string, error?: unknown): void;
}

export class Channels implements FeedOwner {
  private readonly owner: ChannelsOwner;
  private readonly feeds: Map<number, ChannelFeed>;
  /** The one that got a frame last. */
  private lastFeed: ChannelFeed | undefined;
  /** How many are at work. */
  private busyCount: number;
  private whenIdle: (() => void)[];
  /** Of frames that wait. */
  private heldBytes: number;
  /** For bodies that are not whole. */
  private reservedBytes: number;

  constructor(owner: ChannelsOwner) {
    this.owner = owner;
    this.feeds = new Map();
    this.lastFeed = undefined;
    this.busyCount = 0;
    this.whenIdle = [];
    this.heldBytes = 0;
    this.reservedBytes = 0;
  }

  get count(): number {
    return this.feeds.size;
  }

  get consumerCount(): number {
    let count = 0;
    for (const { channel } of this.feeds.values()) count += channel?.consumerCount ?? 0;
    return count;
  }

  get isBusy(): boolean {
    return this.busyCount > 0;
  }

  get messageBytesMax(): number {
    return this.owner.messageBytesMax;
  }

  /** Hot: a frame for the channel of that number. */
  take(type: number, channel: number, bytes: Buffer, start: number, end: number): void {
    let feed = this.lastFeed;
    if (feed === undefined || feed.number !== channel) {
      feed = this.feeds.get(channel) ?? this.newFeed(channel);
      if (feed === undefined) return;
      this.lastFeed = feed;
    }
    if (feed.isBusy) this.hold(feed, type, bytes, start, end);
    else this.feed(feed, type, bytes, start, end);
  }

  /** Resolves when every channel has done what it was told. */
  idle(): Promise<void> {
    if (this.busyCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.whenIdle.push(resolve));
  }

  /** Whoever waits until all have done what they were told waits no longer. */
  stopWaiting(): void {
    const waiting = this.whenIdle;
    this.whenIdle = [];
    for (const resolve of waiting) resolve();
  }

  /** Ends them all. Resolves when they have given back what they had. Never rejects. */
  async end(): Promise<void> {
    const feeds = [...this.feeds.values()];
    for (const feed of feeds) feed.drop();
    this.feeds.clear();
    this.lastFeed = undefined;
    await Promise.all(feeds.map((feed) => this.endChannel(feed)));
  }

  pause(): void {
    for (const { channel } of this.feeds.values()) channel?.pause();
  }

  resume(): void {
    for (const { channel } of [...this.feeds.values()]) channel?.resume();
  }

  /** What went wrong closes the channel of that number, or the connection. */
  fail(channelNumber: number, error: unknown, methodKey: number): void {
    const failure = toProtocolError(error);
    if (failure.reply === "INTERNAL_ERROR") this.owner.log("error", "an operation failed", error);
    const feed = this.feeds.get(channelNumber);
    if (!failure.isOfChannel) this.owner.failConnection(failure, methodKey);
    else if (feed !== undefined && !feed.isClosing) this.failChannel(feed, failure, methodKey);
  }

  // What the feeds ask for.

  published(): void {
    this.owner.realm.counters.published += 1;
  }

  open(feed: ChannelFeed): ServedChannel {
    const channel = new Channel(this.owner, feed.number);
    this.owner.realm.counters.channels += 1;
    this.owner.send(feed.number, "channel.open-ok", { channelId: NO_BYTES });
    return channel;
  }

  async closeFor(feed: ChannelFeed): Promise<void> {
    await this.endChannel(feed);
    if (this.feeds.get(feed.number) !== feed) return;
    this.owner.send(feed.number, "channel.close-ok", {});
    this.release(feed);
  }

  release(feed: ChannelFeed): void {
    this.feeds.delete(feed.number);
    if (this.lastFeed === feed) this.lastFeed = undefined;
  }

  answerClose(feed: ChannelFeed): void {
    this.owner.send(feed.number, "channel.close-ok", {});
  }

  private feed(feed: ChannelFeed, type: number, bytes: Buffer, start: number, end: number): void {
    const reserved = feed.reservedBytes;
    try {
      const pending = feed.frame(type, bytes, start, end);
      if (pending !== undefined) this.wait(feed, pending);
    } catch (error) {
      this.fail(feed.number, error, feed.methodKey);
    }
    this.reservedBytes += feed.reservedBytes - reserved;
    if (this.reservedBytes > this.messageBytesMax + HELD_BYTES_MAX) this.checkReserved();
  }

  /** Channels that were closed meanwhile have let go of what they had. */
  private checkReserved(): void {
    this.reservedBytes = 0;
    for (const { reservedBytes } of this.feeds.values()) this.reservedBytes += reservedBytes;
    if (this.reservedBytes > this.messageBytesMax + HELD_BYTES_MAX)
      this.owner.failConnection(new ProtocolError("RESOURCE_ERROR", TOO_MANY_BODIES), 0);
  }

  /** What comes next for the channel waits. */
  private wait(feed: ChannelFeed, pending: Promise<void>): void {
    feed.isBusy = true;
    this.busyCount += 1;
    const { methodKey } = feed;
    void pending
      .catch((error: unknown) => this.fail(feed.number, error, methodKey))
      .then(() => {
        feed.isBusy = false;
        this.busyCount -= 1;
        this.drain(feed);
        if (this.busyCount > 0) return;
        this.stopWaiting();
        this.owner.becameIdle();
      });
  }

  private drain(feed: ChannelFeed): void {
    this.owner.beginTurn();
    while (!feed.isBusy) {
      const next = feed.nextWaiting();
      if (next === undefined) break;
      const { type, payload } = next;
      this.heldBytes -= heldSize(payload.length);
      if (!this.owner.isClosed) this.take(type, feed.number, payload, 0, payload.length);
    }
    if (this.heldBytes * 2 < HELD_BYTES_MAX) this.owner.holdInput(false);
  }

  private hold(feed: ChannelFeed, type: number, bytes: Buffer, start: number, end: number): void {
    feed.hold(type, bytes.subarray(start, end));
    this.heldBytes += heldSize(end - start);
    if (this.heldBytes >= HELD_BYTES_MAX) this.owner.holdInput(true);
  }

  private newFeed(number: number): ChannelFeed | undefined {
    const { channelMax } = this.owner;
    if (this.feeds.size >= channelMax) {
      const text = `number of channels opened (${this.feeds.size}) has reached the negotiated channel_max (${channelMax})`;
      this.owner.failConnection(new ProtocolError("NOT_ALLOWED", text), 0);
      return undefined;
    }
    const feed = new ChannelFeed(this, number);
    this.feeds.set(number, feed);
    return feed;
  }

  private failChannel(feed: ChannelFeed, failure: ProtocolError, methodKey: number): void {
    const { number } = feed;
    this.owner.log("info", `closing a channel: number ${number}, ${failure.message}`);
    feed.drop();
    void this.endChannel(feed);
    this.owner.send(number, "channel.close", {
      replyCode: failure.code,
      replyText: failure.replyText,
      classId: methodKey >>> 16,
      methodId: methodKey & 0xffff,
    });
  }

  private endChannel(feed: ChannelFeed): Promise<void> | undefined {
    const { channel } = feed;
    if (channel === undefined) return undefined;
    feed.channel = undefined;
    this.owner.realm.counters.channels -= 1;
    return channel.close();
  }
}

function heldSize(payloadBytes: number): number {
  return payloadBytes + HELD_FRAME_BYTES;
}
