// One connection: its socket, its handshakes, when it is read from, and its end. What is said on it is its client's.

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Timer } from "../../io/io.js";
import { releaseMemory } from "../../io/release-memory.js";
import type {
  ConnectionLimits,
  ConnectionView,
  Credentials,
  Peer,
  ServedConnection,
} from "../../network/host.js";
import { SocketWriter } from "../../network/socket-writer.js";
import { type ClientLink, NatsClient } from "./client.js";
import { credentialsOf } from "./credentials.js";
import * as errors from "./errors.js";
import { Liveness, type Watched } from "./liveness.js";
import type { Held } from "./pressure.js";
import type { NatsShared } from "./shared.js";
import type { ConnectOptions } from "./wire/connect.js";
import { ClientParser } from "./wire/parser.js";
import { errorLine, infoLine, PING, type ServerInfo } from "./wire/replies.js";

/** When so much waits for a client, those that publish to it are held back for a moment. */
const BEHIND_BYTES = 2 * 1024 * 1024;
/** How much of one client is read before the others have their turn. */
const TURN_BYTES = 512 * 1024;
/** Chunks below this are no flood. */
const FLOOD_CHUNK_BYTES = 32 * 1024;
/** How long a client is served after it was told to go elsewhere. */
const LAME_DUCK_MS = 1_000;
/** How long a client may take to hang up after it was told to. */
const LINGER_MS = 2_000;
/** What a client that begins a TLS handshake sends first. */
const TLS_HANDSHAKE = 0x16;

type Phase = "greeting" | "authenticating" | "open" | "ended";

export class NatsConnection implements ServedConnection, ClientLink, Watched, Held {
  readonly closed: Promise<void>;
  readonly limits: ConnectionLimits;
  writer: SocketWriter;
  readonly #shared: NatsShared;
  readonly #peer: Peer;
  readonly #nonce: string;
  readonly #client: NatsClient;
  readonly #parser: ClientParser;
  readonly #liveness: Liveness;
  #socket: Duplex;
  #isEncrypted: boolean;
  #certificateName: string | undefined;
  #phase: Phase = "greeting";
  #handshakeTimer: Timer | undefined = undefined;
  #endTimer: Timer | undefined = undefined;
  /** Reasons for not reading. */
  #holds = 0;
  /** Read since the others had their turn. */
  #turnBytes = 0;
  #resolveClosed: () => void = () => undefined;

  constructor(shared: NatsShared, socket: Duplex, peer: Peer) {
    const { host } = shared;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.limits = host.limits;
    this.#shared = shared;
    this.#peer = peer;
    this.#nonce = host.anonymous === undefined ? shared.nonce() : "";
    this.#socket = socket;
    this.#isEncrypted = peer.isEncrypted;
    this.#certificateName = peer.certificateName;
    this.writer = this.#newWriter(socket);
    this.#client = new NatsClient(shared, this);
    this.#parser = new ClientParser(this.#client, this.limits.messageBytesMax);
    this.#parser.isLocked = host.anonymous === undefined;
    this.#liveness = new Liveness(this, host.clock);
    this.#start();
  }

  get clientId(): number {
    return this.#peer.id;
  }

  /** How many messages it was sent. */
  get delivered(): number {
    return this.#client.delivered;
  }

  describe(): ConnectionView {
    return {
      user: this.#client.access?.user,
      client: this.#client.options.name,
      pendingBytes: this.writer.pendingBytes,
      subscriptions: this.#client.subscriptionCount,
    };
  }

  /** Tells the client to go elsewhere, serves it a little longer, and ends. */
  shutDown(): void {
    if (this.#isEnded || this.#endTimer !== undefined) return;
    if (this.#client.options.protocol < 1) return void this.finish();
    this.writer.text(infoLine(this.#info(true)));
    this.#endTimer = this.#shared.host.clock.setTimer(() => this.finish(), LAME_DUCK_MS);
  }

  cut(reason: string): void {
    if (this.#isEnded) return;
    this.#shared.host.log.info({ ...this.#fields(), reason }, "a connection was cut");
    this.#dispose();
    this.#socket.destroy();
  }

  admit(options: ConnectOptions): void {
    const { access } = this.#client;
    const isFirst = this.#phase === "greeting";
    const credentials = isFirst ? credentialsOf(options, this.#nonce, this.#certificateName) : undefined;
    if (credentials !== undefined) {
      this.#phase = "authenticating";
      this.#parser.suspend();
      this.hold();
      void this.#authenticate(options, credentials);
    } else if (access === undefined) {
      this.#client.refuseLocked();
    } else {
      this.#open();
      this.#client.opened(options, access);
    }
  }

  hold(): void {
    this.#holds += 1;
    if (this.#holds === 1) this.#socket.pause();
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0 && !this.#isEnded) this.#socket.resume();
  }

  finish(): void {
    if (this.#isEnded) return;
    const socket = this.#socket;
    this.#dispose();
    this.writer.end();
    // What still comes is of no interest, but has to be read for the end to be seen.
    socket.off("data", this.#onData);
    socket.resume();
    const timer = this.#shared.host.clock.setTimer(() => socket.destroy(), LINGER_MS, true);
    socket.once("close", () => timer.cancel());
  }

  refuse(reason: string): void {
    if (this.#isEnded) return;
    this.warn({ reason }, "a connection was ended");
    this.writer.text(errorLine(reason));
    this.finish();
  }

  cutSlow(why: string): void {
    if (this.#isEnded) return;
    this.#shared.counters.slowConsumers += 1;
    this.warn({ pendingBytes: this.writer.pendingBytes, why }, errors.SLOW_CONSUMER);
    this.#dispose();
    this.#socket.destroy();
  }

  failed(error: unknown): void {
    this.#shared.host.log.error({ ...this.#fields(), error }, "a connection failed");
    this.cut("an internal error");
  }

  warn(fields: Readonly<Record<string, unknown>>, text: string): void {
    this.#shared.host.log.warn({ ...this.#fields(), ...fields }, text);
  }

  silent(): void {
    if (this.#phase === "open") this.writer.view(PING);
  }

  stale(): void {
    // Who is not read from is not silent.
    if (this.#holds === 0) this.refuse(errors.STALE_CONNECTION);
  }

  stalled(): void {
    this.cutSlow("it takes nothing");
  }

  get #isEnded(): boolean {
    return this.#phase === "ended";
  }

  #start(): void {
    const { clock, anonymous } = this.#shared.host;
    const hasTlsAhead = this.#peer.startTls !== undefined;
    const tooLate = (): void => this.refuse(errors.AUTHENTICATION_TIMEOUT);
    if (hasTlsAhead || anonymous === undefined)
      this.#handshakeTimer = clock.setTimer(tooLate, this.limits.handshakeMs, true);
    this.#socket.on("error", this.#onError);
    this.#socket.once("close", this.#onClose);
    this.writer.text(infoLine(this.#info(false)));
    if (hasTlsAhead) this.#socket.on("readable", this.#onFirstByte);
    else this.#listen();
  }

  #listen(): void {
    this.#socket.on("data", this.#onData);
    this.#socket.once("end", this.#onEnd);
  }

  /** Looks whether the client begins a TLS handshake, or talks without. */
  readonly #onFirstByte = (): void => {
    const socket = this.#socket;
    const byte: Buffer | null = socket.read(1);
    if (byte === null) return;
    socket.off("readable", this.#onFirstByte);
    if (this.#isEnded) return;
    socket.unshift(byte);
    if (byte[0] === TLS_HANDSHAKE) void this.#secure();
    else this.refuse(errors.TLS_REQUIRED);
  };

  async #secure(): Promise<void> {
    const plain = this.#socket;
    try {
      const { socket, certificateName } = await this.#peer.startTls!(plain);
      if (this.#isEnded) return void socket.destroy();
      plain.off("close", this.#onClose);
      this.#socket = socket;
      this.#certificateName = certificateName;
      this.#isEncrypted = true;
      this.writer = this.#newWriter(socket);
      socket.on("error", this.#onError);
      socket.once("close", this.#onClose);
      if (socket.destroyed) this.#onClose();
      else this.#listen();
    } catch (error) {
      this.cut(`the TLS handshake failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #newWriter(socket: Duplex): SocketWriter {
    const writer = new SocketWriter(socket, Math.min(BEHIND_BYTES, this.limits.pendingBytesMax));
    writer.onRoom = () => this.#shared.pressure.caughtUp(this.#client);
    return writer;
  }

  #info(isLameDuck: boolean): ServerInfo {
    const { host, identity } = this.#shared;
    const { address, id, isEncrypted, localAddress, startTls } = this.#peer;
    const [hostName, port] = splitAddress(localAddress);
    return {
      ...identity,
      host: hostName,
      port,
      max_payload: this.limits.messageBytesMax,
      client_id: id,
      client_ip: splitAddress(address)[0],
      ...(host.anonymous === undefined ? { auth_required: true, nonce: this.#nonce } : {}),
      ...(startTls !== undefined || isEncrypted ? { tls_required: true } : {}),
      ...(isLameDuck ? { ldm: true } : {}),
    };
  }

  async #authenticate(options: ConnectOptions, credentials: Credentials): Promise<void> {
    const certificateName = this.#certificateName;
    const peer = { ...this.#peer, isEncrypted: this.#isEncrypted, certificateName };
    const access = await this.#shared.host.authenticate(credentials, peer);
    if (this.#isEnded) return;
    if (access === undefined) return void this.#client.refuseLocked();
    this.#open();
    this.#client.opened(options, access);
    this.release();
    this.#read(undefined);
  }

  #open(): void {
    this.#handshakeTimer?.cancel();
    this.#phase = "open";
    this.#parser.isLocked = false;
  }

  /** Hot. */
  readonly #onData = (chunk: Buffer): void => {
    this.#liveness.heard = true;
    this.#read(chunk);
    const isKept = this.#client.endChunk();
    if (chunk.length >= FLOOD_CHUNK_BYTES) this.#takeTurns(chunk.length);
    // Other streams may hand out parts of what they keep.
    if (this.#socket instanceof Socket && !isKept && !this.#parser.hasRest) releaseMemory(chunk);
  };

  /** Hot: undefined for what was read before, and not looked at. */
  #read(chunk: Buffer | undefined): void {
    const { counters, host, outbound, pressure, run } = this.#shared;
    this.#client.beginChunk(host.clock.nowMs());
    try {
      if (chunk === undefined) this.#parser.resume();
      else this.#parser.parse(chunk);
      this.#client.handOver();
    } catch (error) {
      run.clear();
      this.failed(error);
    }
    outbound.clear();
    if (this.writer.pendingBytes > this.limits.pendingBytesMax) this.cutSlow("too much waits for it");
    if (pressure.holdBack(this)) counters.stalls += 1;
  }

  /** The system reads a flood on and on: after a while the others have their turn. */
  #takeTurns(sizeBytes: number): void {
    const { clock } = this.#shared.host;
    if (this.#turnBytes === 0) clock.defer(this.#beginTurn);
    this.#turnBytes += sizeBytes;
    if (this.#turnBytes < TURN_BYTES || this.#isEnded) return;
    this.hold();
    clock.defer(this.#endTurn);
  }

  readonly #beginTurn = (): void => {
    this.#turnBytes = 0;
  };

  readonly #endTurn = (): void => this.release();

  /** Gives back what belongs to it. The socket is left to the caller. */
  #dispose(): void {
    if (this.#isEnded) return;
    this.#phase = "ended";
    this.#parser.stop();
    this.#liveness.stop();
    this.#handshakeTimer?.cancel();
    this.#endTimer?.cancel();
    this.#client.dispose();
    this.#shared.pressure.forget(this);
    this.#shared.gone(this);
  }

  readonly #onEnd = (): void => this.finish();

  readonly #onError = (error: Error): void => {
    this.#shared.host.log.debug({ ...this.#fields(), error }, "a socket failed");
  };

  readonly #onClose = (): void => {
    this.#dispose();
    this.writer.discard();
    this.#resolveClosed();
  };

  #fields(): Readonly<Record<string, unknown>> {
    const { access, options } = this.#client;
    const { address, id } = this.#peer;
    return { protocol: "nats", connection: id, peer: address, user: access?.user, client: options.name };
  }
}

/** `127.0.0.1:4222` or `::1:4222` in its parts. */
function splitAddress(address: string): [host: string, port: number] {
  const colon = address.lastIndexOf(":");
  return [address.slice(0, colon), Number(address.slice(colon + 1)) || 0];
}
