// Channel 0: the handshake, heartbeats, and how either end closes the connection, with RabbitMQ's replies.

import type { Timer } from "../../io/io.js";
import type { Access, ConnectionLimits, Peer, ProtocolHost } from "../../network/host.js";
import type { SocketWriter } from "../../network/socket-writer.js";
import { Heartbeat } from "./heartbeat.js";
import { Negotiation } from "./negotiation.js";
import { writeMethodFrame } from "./wire/basic.js";
import {
  FRAME_END,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  isKnownFrame,
  unexpectedFrame,
  unknownFrame,
} from "./wire/frames.js";
import { type Method, type MethodFields, type MethodName, readMethod } from "./wire/methods.js";
import { ProtocolError } from "./wire/protocol-error.js";

/** How long the client may take to say that it knows of our close. */
const CLOSE_MS = 10_000;
/** After frames that could not be read, or a login that was refused: for the reply to arrive. */
const LINGER_MS = 3_000;
const HEARTBEAT = Buffer.from([FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);

/** As RabbitMQ's errors name them. `closing`: the client closes it; `closed`: we have, or it has. */
type State = "pre_init" | "starting" | "securing" | "tuning" | "opening" | "running" | "closing" | "closed";

/** What channel 0 needs of its connection. */
export interface Controlled {
  readonly host: ProtocolHost;
  readonly peer: Peer;
  readonly writer: SocketWriter;
  /** Whether it is read from. */
  readonly isListening: boolean;
  /** Nothing is read until {@link listen}. */
  pauseListening(): void;
  listen(): void;
  /** Frames may be as large as was agreed on from now on. */
  negotiated(): void;
  /** Resolves when every channel has done what it was told. */
  idle(): Promise<void>;
  /** Ends channels and what else belongs to the connection. Never rejects. */
  giveBack(): Promise<void>;
  cut(reason: string): void;
  /** Sends what there is, and ends. */
  endSoftly(): void;
  log(level: "debug" | "info" | "warn" | "error", text: string, error?: unknown): void;
}

export class Control {
  readonly #connection: Controlled;
  readonly #negotiation: Negotiation;
  #state: State = "pre_init";
  #access: Access | undefined = undefined;
  #heartbeat: Heartbeat | undefined = undefined;
  /** Of the handshake, and later of the close. */
  #timer: Timer | undefined;

  constructor(connection: Controlled, limits: ConnectionLimits) {
    const { host, peer } = connection;
    this.#connection = connection;
    this.#negotiation = new Negotiation(host, peer, limits);
    const { handshakeMs } = limits;
    this.#timer = host.clock.setTimer(
      () => connection.cut(`the handshake took more than ${handshakeMs} ms`),
      handshakeMs,
      true,
    );
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  /** Whether the connection is being closed, by either end. */
  get isStopping(): boolean {
    return this.#state === "closing" || this.#state === "closed";
  }

  /** Whether nothing that the client says counts any more. */
  get isClosed(): boolean {
    return this.#state === "closed";
  }

  get isBegun(): boolean {
    return this.#state !== "pre_init";
  }

  /** Only of a connection that runs. */
  get access(): Access {
    return this.#access!;
  }

  get user(): string | undefined {
    return this.#access?.user;
  }

  get clientName(): string | undefined {
    return this.#negotiation.clientName;
  }

  get frameMax(): number {
    return this.#negotiation.frameMax;
  }

  get channelMax(): number {
    return this.#negotiation.channelMax;
  }

  can(capability: string): boolean {
    return this.#negotiation.can(capability);
  }

  /** Hot: something came from the client. */
  heard(): void {
    this.#heartbeat?.heard();
  }

  /** The client has said that it speaks AMQP 0-9-1. */
  begin(): void {
    this.#state = "starting";
    this.#send("connection.start", this.#negotiation.start);
  }

  /** The connection is over. */
  stop(): void {
    this.#state = "closed";
    this.#heartbeat?.stop();
    this.#timer?.cancel();
  }

  /** A frame of channel 0. Errors: those of the protocol. */
  frame(type: number, bytes: Buffer, start: number, end: number): void {
    if (!isKnownFrame(type, end - start)) {
      if (!this.isStopping) throw unknownFrame(type, bytes, start, end);
    } else if (type === FRAME_METHOD) this.#method(readMethod(bytes, start, end));
    else if (type !== FRAME_HEARTBEAT && !this.isStopping) throw unexpectedFrame(type, bytes, start, end);
  }

  /** Closes the connection, naming the method that was at fault: see {@link methodId}. */
  fail(error: ProtocolError, methodKey = 0): void {
    const state = this.#state;
    if (state === "closed") return;
    this.#connection.log("warn", `closing the connection: ${error.message}`);
    if (!this.#isTold(error)) {
      this.#state = "closed";
      this.#connection.endSoftly();
      return;
    }
    this.#send("connection.close", {
      replyCode: error.code,
      replyText: error.replyText,
      classId: methodKey >>> 16,
      methodId: methodKey & 0xffff,
    });
    this.#endWithin(state === "running" || state === "closing" ? CLOSE_MS : LINGER_MS);
    void this.#connection.giveBack();
  }

  /** What comes from now on is not understood: the reply is all that is left. */
  failDeaf(error: ProtocolError): void {
    this.fail(error);
    this.#endWithin(LINGER_MS);
  }

  /** For the end of the server. */
  sayGoodbye(): void {
    if (this.#state === "running")
      this.fail(
        new ProtocolError("CONNECTION_FORCED", "broker forced connection closure with reason 'shutdown'"),
      );
    else if (!this.isStopping) this.#connection.endSoftly();
  }

  beat(): void {
    const { writer } = this.#connection;
    if (writer.pendingBytes === 0) writer.view(HEARTBEAT);
  }

  fellSilent(): void {
    const { heartbeatSeconds } = this.#negotiation;
    this.#connection.cut(`missed heartbeats from client, timeout: ${heartbeatSeconds}s`);
  }

  get isListening(): boolean {
    return this.#connection.isListening;
  }

  #method(method: Method): void {
    if (this.#takes(method) || this.isStopping) return;
    throw new ProtocolError("CHANNEL_ERROR", `unexpected method in connection state ${this.#state}`);
  }

  /** Returns false when the method has no place in this state. */
  #takes(method: Method): boolean {
    const state = this.#state;
    switch (method.name) {
      case "connection.start-ok":
        if (state !== "starting") return false;
        void this.#authenticate(method);
        return true;
      case "connection.tune-ok":
        if (state !== "tuning") return false;
        this.#tune(method);
        return true;
      case "connection.open":
        if (state !== "opening") return false;
        this.#open(method);
        return true;
      case "connection.update-secret":
        if (state !== "running") return false;
        void this.#updateSecret(method);
        return true;
      case "connection.close":
        void this.#close();
        return true;
      case "connection.close-ok":
        if (state === "closed") this.#connection.endSoftly();
        return state === "closed";
      default:
        return false;
    }
  }

  async #authenticate(method: Method<"connection.start-ok">): Promise<void> {
    this.#state = "securing";
    await this.#whileWaiting(async () => {
      this.#access = await this.#negotiation.startOk(method);
      if (this.isStopping) return;
      this.#state = "tuning";
      this.#send("connection.tune", this.#negotiation.tune);
    });
  }

  #tune(method: Method<"connection.tune-ok">): void {
    const { host } = this.#connection;
    this.#negotiation.tuneOk(method);
    this.#connection.negotiated();
    this.#state = "opening";
    const intervalMs = this.#negotiation.heartbeatSeconds * 1000;
    if (intervalMs > 0) this.#heartbeat = new Heartbeat(host.clock, intervalMs, this);
  }

  #open(method: Method<"connection.open">): void {
    this.#negotiation.open(method);
    this.#timer?.cancel();
    this.#state = "running";
    this.#send("connection.open-ok", { knownHosts: "" });
    this.#connection.log("debug", "the connection is open");
  }

  async #updateSecret(method: Method<"connection.update-secret">): Promise<void> {
    await this.#whileWaiting(async () => {
      this.#access = await this.#negotiation.updateSecret(method);
      if (!this.isStopping) this.#send("connection.update-secret-ok", {});
    });
  }

  /** Nothing is read meanwhile. */
  async #whileWaiting(action: () => Promise<void>): Promise<void> {
    this.#connection.pauseListening();
    try {
      await action();
    } catch (error) {
      if (error instanceof ProtocolError) this.fail(error);
      else {
        this.#connection.log("error", "authentication failed", error);
        this.fail(new ProtocolError("INTERNAL_ERROR", "authentication failed", error));
      }
    } finally {
      this.#connection.listen();
    }
  }

  /** The client closes. */
  async #close(): Promise<void> {
    if (!this.isStopping) {
      this.#state = "closing";
      await this.#connection.idle();
      await this.#connection.giveBack();
    }
    if (this.#state === "closing") this.#endWithin(CLOSE_MS);
    this.#send("connection.close-ok", {});
    this.#connection.endSoftly();
  }

  /** Whether the client is told why, as in RabbitMQ: one that has not proved who it is is not, unless it wants to know. */
  #isTold({ reply }: ProtocolError): boolean {
    if (this.#state === "pre_init") return false;
    if (this.#state !== "starting" && this.#state !== "securing")
      return this.#state !== "tuning" || reply === "NOT_ALLOWED";
    return reply === "ACCESS_REFUSED" && this.can("authentication_failure_close");
  }

  #endWithin(delayMs: number): void {
    const { clock } = this.#connection.host;
    this.#state = "closed";
    this.#timer?.cancel();
    this.#timer = clock.setTimer(() => this.#connection.cut("it did not end by itself"), delayMs, true);
  }

  #send<N extends MethodName>(name: N, fields: MethodFields<N>): void {
    writeMethodFrame(this.#connection.writer, 0, name, fields);
  }
}
