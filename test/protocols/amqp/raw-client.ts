// A client that speaks AMQP frame by frame, and sends whatever a test wants.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { NO_FIELDS } from "../../../src/protocols/amqp/wire/fields.js";
import {
  FRAME_BODY,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FrameReader,
} from "../../../src/protocols/amqp/wire/frames.js";
import {
  type Method,
  type MethodFields,
  type MethodName,
  methodSize,
  readMethod,
  writeMethod,
} from "../../../src/protocols/amqp/wire/methods.js";

export const PROTOCOL_HEADER = Buffer.from("AMQP\x00\x00\x09\x01", "latin1");

/** One frame that came from the server. */
export interface Received {
  readonly type: number;
  readonly channel: number;
  readonly method: Method | undefined;
  readonly payload: Buffer;
}

export interface Login {
  readonly user?: string;
  readonly password?: string;
  readonly mechanism?: string;
  readonly response?: Buffer;
  readonly capabilities?: readonly string[];
  readonly heartbeat?: number;
  readonly frameMax?: number;
  readonly channelMax?: number;
  readonly virtualHost?: string;
}

export class RawClient {
  readonly socket: Socket;
  /** Everything that came. */
  readonly bytes: Buffer[] = [];
  /** Undefined once the server has closed the socket. */
  readonly #received: Received[] = [];
  readonly #reader: FrameReader;
  #waiting: ((received: Received | undefined) => void)[] = [];
  #isEnded = false;
  /** Whether frames are read; else only {@link bytes} fill. */
  isFramed = true;

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.setNoDelay(true);
    this.#reader = new FrameReader(0, (type, channel, bytes, start, end) => {
      const payload = bytes.subarray(start, end);
      const method = type === FRAME_METHOD ? readMethod(payload, 0, payload.length) : undefined;
      this.#take({ type, channel, method, payload });
      return true;
    });
    this.socket.on("data", (chunk: Buffer) => {
      this.bytes.push(chunk);
      if (!this.isFramed) return;
      this.#reader.push(chunk);
      this.#reader.read();
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.#isEnded = true;
      for (const resolve of this.#waiting) resolve(undefined);
      this.#waiting = [];
    });
  }

  /** A connection that is open. */
  static async open(port: number, login: Login = {}): Promise<RawClient> {
    const client = new RawClient(port);
    await client.handshake(login);
    return client;
  }

  async handshake(login: Login = {}): Promise<void> {
    await this.startOk(login);
    const tune = await this.expect("connection.tune");
    const { heartbeat = 0, frameMax = tune.frameMax, channelMax = tune.channelMax } = login;
    this.send(0, "connection.tune-ok", { channelMax, frameMax, heartbeat });
    this.send(0, "connection.open", {
      virtualHost: login.virtualHost ?? "/",
      capabilities: "",
      insist: false,
    });
    await this.expect("connection.open-ok");
  }

  /** Up to the answer to who we are. */
  async startOk({ user = "guest", password = "guest", ...login }: Login = {}): Promise<void> {
    this.socket.write(PROTOCOL_HEADER);
    await this.expect("connection.start");
    const {
      mechanism = "PLAIN",
      response = Buffer.from(`\0${user}\0${password}`),
      capabilities = [],
    } = login;
    const table = new Map(capabilities.map((name) => [name, { type: "bool" as const, value: true }]));
    this.send(0, "connection.start-ok", {
      clientProperties: new Map([["capabilities", { type: "table", value: table }]]),
      mechanism,
      response,
      locale: "en_US",
    });
  }

  async openChannel(number = 1): Promise<void> {
    this.send(number, "channel.open", { outOfBand: "" });
    await this.expect("channel.open-ok");
  }

  send<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): void {
    this.socket.write(methodFrame(channel, name, fields));
  }

  /** Declares a queue of that name, and waits until it is there. */
  async declareQueue(queue: string, channel = 1): Promise<void> {
    this.send(channel, "queue.declare", {
      ticket: 0,
      queue,
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: false,
      noWait: false,
      arguments: NO_FIELDS,
    });
    await this.expect("queue.declare-ok");
  }

  publish(exchange: string, routingKey: string, body: Buffer, channel = 1): void {
    this.socket.write(publishFrames(channel, exchange, routingKey, body));
  }

  /** The next frame that is no heartbeat; undefined when the server has closed the socket. */
  async next(): Promise<Received | undefined> {
    for (;;) {
      const received = this.#received.shift() ?? (this.#isEnded ? undefined : await this.#wait());
      if (received?.type !== FRAME_HEARTBEAT) return received;
    }
  }

  /** The next frame, which has to be that method. */
  async expect<N extends MethodName>(name: N): Promise<Method<N>> {
    const received = await this.next();
    const method = received?.method;
    if (method?.name === name) return method as Method<N>;
    const found = method === undefined ? `a frame of type ${received?.type}` : JSON.stringify(method);
    throw new Error(`expected ${name}, got ${received === undefined ? "the end" : found}`);
  }

  /** The body of the next delivery. */
  async delivery(): Promise<Buffer> {
    await this.expect("basic.deliver");
    const header = await this.next();
    const size = Number(header!.payload.readBigUInt64BE(4));
    const pieces: Buffer[] = [];
    for (let got = 0; got < size; ) {
      const { payload } = (await this.next())!;
      pieces.push(payload);
      got += payload.length;
    }
    return Buffer.concat(pieces);
  }

  async ended(): Promise<void> {
    while ((await this.next()) !== undefined);
  }

  async close(): Promise<void> {
    if (this.#isEnded) return;
    this.send(0, "connection.close", { replyCode: 200, replyText: "bye", classId: 0, methodId: 0 });
    await this.ended();
  }

  destroy(): void {
    this.socket.destroy();
  }

  async connected(): Promise<void> {
    if (this.socket.connecting) await once(this.socket, "connect");
  }

  #take(received: Received): void {
    const resolve = this.#waiting.shift();
    if (resolve === undefined) this.#received.push(received);
    else resolve(received);
  }

  #wait(): Promise<Received | undefined> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export function frame(type: number, channel: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(8 + payload.length);
  bytes[0] = type;
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(payload.length, 3);
  bytes.set(payload, 7);
  bytes[7 + payload.length] = 0xce;
  return bytes;
}

export function methodFrame<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): Buffer {
  const payload = Buffer.alloc(methodSize(name, fields));
  writeMethod(payload, 0, name, fields);
  return frame(FRAME_METHOD, channel, payload);
}

/** A content header of class basic. Properties are none unless given, flags first. */
export function headerFrame(channel: number, bodySize: number, properties = Buffer.alloc(2)): Buffer {
  const payload = Buffer.alloc(12 + properties.length);
  payload.writeUInt16BE(60, 0);
  payload.writeBigUInt64BE(BigInt(bodySize), 4);
  properties.copy(payload, 12);
  return frame(FRAME_HEADER, channel, payload);
}

export function publishFrames(
  channel: number,
  exchange: string,
  routingKey: string,
  body: Buffer,
  pieceBytes = 100_000,
): Buffer {
  const method = { ticket: 0, exchange, routingKey, mandatory: false, immediate: false };
  const frames = [methodFrame(channel, "basic.publish", method), headerFrame(channel, body.length)];
  for (let at = 0; at < body.length; at += pieceBytes)
    frames.push(frame(FRAME_BODY, channel, body.subarray(at, at + pieceBytes)));
  return Buffer.concat(frames);
}
