// One client's connection: bytes in and out, its channels, what slows it down, and its end.

import type { Duplex } from "node:stream";
import type { Appended } from "../../broker/appended.js";
import type { Session } from "../../broker/session.js";
import { readInt32 } from "../../bytes/cursor.js";
import type { Timer } from "../../io/io.js";
import type { Access, ConnectionView, Peer, ProtocolHost, ServedConnection } from "../../network/host.js";
import { SocketWriter } from "../../network/socket-writer.js";
import { Channels, type ChannelsOwner } from "./channels.js";
import { Control, type Controlled } from "./control.js";
import { toProtocolError } from "./errors.js";
import {
  InputGate,
  REASON_AUTHENTICATING,
  REASON_BLOCKED,
  REASON_CONGESTED,
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
import type { ProtocolError } from "./wire/protocol-error.js";

/** What one connection may send before others get their turn. */
const TURN_BYTES_MAX = 512 * 1024;

export class Connection implements ServedConnection, ChannelsOwner, Controlled, AlarmListener {
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
  private readonly channels: Channels;
  private turnBytes: number;
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
    this.channels = new Channels(this);
    this.turnBytes = 0;
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
      subscriptions: this.channels.count,
    };
  }

  get consumerCount(): number {
    return this.channels.consumerCount;
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
    // Consumers of queues stop before: those are answers that nobody can hold back.
    const { messageBytesMax, pendingBytesMax } = this.host.limits;
    if (this.writer.pendingBytes > 2 * (pendingBytesMax + messageBytesMax))
      return void this.cut(`${this.writer.pendingBytes} bytes waited for it`);
    this.channels.pause();
    if (this.stallTimer === undefined) this.watchStall(this.writer.takenBytes);
  }

  get awaitedSinceMs(): number {
    return this.uncommitted.sinceMs;
  }

  alarmChanged(reason: string | undefined): void {
    if (reason === undefined) this.unblock();
    else if (this.hasPublished) this.block(reason);
  }

  fail(channelNumber: number, error: unknown, method?: MethodName): void {
    const [classId, methodNumber] = method === undefined ? [0, 0] : methodId(method);
    this.channels.fail(channelNumber, error, (classId << 16) | methodNumber);
  }

  // What its channels ask for.

  get channelMax(): number {
    return this.control.channelMax;
  }

  get isClosed(): boolean {
    return this.isOver || this.control.isClosed;
  }

  holdInput(isHeld: boolean): void {
    if (isHeld) this.gate.close(REASON_HELD);
    else this.gate.open(REASON_HELD);
  }

  beginTurn(): void {
    this.nowMs = this.host.clock.nowMs();
  }

  becameIdle(): void {
    this.endIfDone();
  }

  failConnection(error: ProtocolError, methodKey: number): void {
    this.control.fail(error, methodKey);
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
    return this.channels.idle();
  }

  async giveBack(): Promise<void> {
    await this.channels.end();
    await this.session.close().catch((error: unknown) => this.log("error", "deleting its queues", error));
  }

  log(level: "debug" | "info" | "warn" | "error", text: string, error?: unknown): void {
    const { id, address } = this.peer;
    const fields = { protocol: "amqp", connection: id, peer: address, user: this.control.user };
    this.host.log[level](error === undefined ? fields : { ...fields, error }, text);
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
    if (this.writer.isCongested) this.holdAsker();
  }

  /** Whoever goes on asking without reading what comes back is not read from either. */
  private holdAsker(): void {
    this.gate.close(REASON_CONGESTED);
    this.congested();
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
    else if (!this.isShuttingDown) this.channels.take(type, channel, bytes, start, end);
    return this.gate.isOpen && !this.isDeaf;
  }

  private takeControlFrame(type: number, channel: number, bytes: Buffer, start: number, end: number): void {
    try {
      if (channel === 0) this.control.frame(type, bytes, start, end);
      else if (!this.control.isStopping) throw unexpectedFrame(type, bytes, start, end);
    } catch (error) {
      this.channels.fail(0, error, type === FRAME_METHOD && end - start >= 4 ? readInt32(bytes, start) : 0);
    }
  }

  // What goes wrong, and the end.

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
    // The confirms of what was stored are written in this turn.
    if (this.isShuttingDown) this.host.clock.defer(() => this.endIfDone());
  }

  /** What the client was told to be done is, before the server ends. */
  private endIfDone(): void {
    if (this.isShuttingDown && !this.channels.isBusy && this.uncommitted.sizeBytes === 0)
      this.control.sayGoodbye();
  }

  private hasRoom(): void {
    this.stallTimer?.cancel();
    this.stallTimer = undefined;
    this.channels.resume();
    this.gate.open(REASON_CONGESTED);
  }

  /** A client that takes nothing for so long while much waits for it is cut. */
  private watchStall(takenBytes: number): void {
    const { stallMs } = this.host.limits;
    const look = (): void => {
      const { takenBytes: nowTaken, pendingBytes } = this.writer;
      if (nowTaken > takenBytes) this.watchStall(nowTaken);
      else this.cut(`it took nothing for ${stallMs} ms while ${pendingBytes} bytes waited for it`);
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
    this.channels.stopWaiting();
    await this.giveBack();
    this.ended();
  }
}
