// Plays lines of the NATS protocol on a server, and writes down what its clients receive.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { CLIENTS, groupOf, type Operation } from "./nats-operations.js";

const LATE_MS = 20_000;
const PING = "PING\r\n";
const PONG = "PONG\r\n";

export class Player {
  readonly #port: number;
  readonly #clients: (Client | undefined)[] = Array.from({ length: CLIENTS }, () => undefined);

  constructor(port: number) {
    this.#port = port;
  }

  async play(operations: readonly Operation[]): Promise<string[][]> {
    const seen: string[][] = [];
    for (const operation of operations) seen.push(await this.#observe(operation));
    return seen;
  }

  close(): void {
    for (const client of this.#clients) client?.socket.destroy();
  }

  /** What the clients have received when each of them has got an answer to a ping that came after. */
  async #observe({ client: index, bytes }: Operation): Promise<string[]> {
    this.#clients[index] ??= await Client.open(this.#port);
    this.#clients[index].send(bytes);
    const others = [...this.#clients.keys()].filter((other) => other !== index);
    const received: string[] = [];
    for (const turn of [index, ...others]) {
      const client = this.#clients[turn];
      if (client === undefined) continue;
      for (const item of await client.untilPong()) received.push(client.name(item, turn));
      if (client.isClosed) {
        received.push(`${turn} closed`);
        this.#clients[turn] = undefined;
      }
    }
    // Which member of a queue group gets a message is up to the server.
    return received.sort();
  }
}

class Client {
  readonly socket: Socket;
  isClosed = false;
  #received = "";
  #heard = (): void => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#received += text;
      this.#heard();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.isClosed = true;
      this.#heard();
    });
  }

  /** What the server says first is its own: version, name, address. */
  static async open(port: number): Promise<Client> {
    const socket = connect(port, "127.0.0.1");
    const client = new Client(socket);
    await once(socket, "connect");
    await client.#until(() => client.#received.includes("\r\n"));
    client.#received = "";
    return client;
  }

  send(bytes: string): void {
    if (!this.isClosed) this.socket.write(bytes);
  }

  /** What came until the server has answered a ping, or closed. */
  async untilPong(): Promise<string[]> {
    if (!this.isClosed) this.socket.write(PING);
    await this.#until(() => this.isClosed || this.#received.endsWith(PONG));
    const items = itemsOf(this.#received.replace(/PONG\r\n$/, ""));
    this.#received = "";
    return items;
  }

  /** Members of a group are one, and so are the subscriptions of which any is told that nobody responds. */
  name(item: string, turn: number): string {
    const [verb, subject, sid = "", ...rest] = item.split(" ");
    if (verb === "HMSG" && rest.includes('"NATS/1.0')) return `${turn} ${subject} ${rest.slice(-1)}`;
    const group = verb === "MSG" || verb === "HMSG" ? groupOf(Number(sid)) : undefined;
    // Which member it is also decides whether it sees headers.
    const body = item.slice(item.indexOf('"')).replace(/^"NATS.*?\\r\\n\\r\\n/, '"');
    return group === undefined ? `${turn} ${item}` : `${subject} group ${group} ${body}`;
  }

  async #until(isEnough: () => boolean): Promise<void> {
    if (isEnough()) return;
    const late = AbortSignal.timeout(LATE_MS);
    await new Promise<void>((resolve, reject) => {
      late.addEventListener("abort", () => reject(new Error(`only came: ${this.#received}`)), { once: true });
      this.#heard = () => {
        if (isEnough()) resolve();
      };
    });
    this.#heard = () => undefined;
  }
}

/** Messages with their bodies, and lines; what the server says of itself is left out. */
function itemsOf(received: string): string[] {
  const items: string[] = [];
  for (let at = 0; at < received.length; ) {
    const end = received.indexOf("\r\n", at);
    if (end < 0) throw new Error(`no line: ${JSON.stringify(received.slice(at))}`);
    const line = received.slice(at, end);
    at = end + 2;
    if (/^H?MSG /.test(line)) {
      const sizeBytes = Number(line.split(" ").at(-1));
      items.push(`${line} ${JSON.stringify(received.slice(at, at + sizeBytes))}`);
      at += sizeBytes + 2;
    } else if (!line.startsWith("INFO ")) {
      items.push(line);
    }
  }
  return items;
}
