// A protocol for tests of the server alone: it answers each line with what the host knows of whoever sent it.

import type { Duplex } from "node:stream";
import type {
  Access,
  Measure,
  Peer,
  Protocol,
  ProtocolHost,
  ServedConnection,
} from "../../src/network/host.js";

/**
 * `login USER PASSWORD`, `publish SUBJECT`, `subscribe PATTERN`, `peer`, `tls`, `quit`; anything else comes back. A
 * connection that is shut down says `bye`, one that is cut `cut: REASON`.
 */
export class LineProtocol implements Protocol {
  readonly name: string;
  readonly startsPlain: boolean;
  readonly refusal = "full\n";
  readonly host: ProtocolHost;
  isOpen = false;

  constructor(name: string, host: ProtocolHost, startsPlain = false) {
    this.name = name;
    this.host = host;
    this.startsPlain = startsPlain;
  }

  open(): Promise<void> {
    this.isOpen = true;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.isOpen = false;
    return Promise.resolve();
  }

  accept(socket: Duplex, peer: Peer): ServedConnection {
    return new LineConnection(this.host, socket, peer);
  }

  *measures(): Iterable<Measure> {
    yield { name: "omnibus_lines_total", help: "Lines.", labels: { protocol: this.name }, value: 1 };
  }
}

class LineConnection implements ServedConnection {
  readonly closed: Promise<void>;
  readonly #host: ProtocolHost;
  readonly #peer: Peer;
  #socket: Duplex;
  #access: Access | undefined;
  #rest = "";
  readonly #onData = (bytes: Buffer): void => this.#read(bytes);

  constructor(host: ProtocolHost, socket: Duplex, peer: Peer) {
    this.#host = host;
    this.#peer = peer;
    this.#socket = socket;
    this.#access = host.anonymous;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined);
    socket.on("data", this.#onData);
    socket.write("hello\n");
  }

  describe() {
    return { user: this.#access?.user, client: undefined, pendingBytes: 0, subscriptions: 1 };
  }

  shutDown(): void {
    this.#socket.end("bye\n");
  }

  cut(reason: string): void {
    this.#socket.end(`cut: ${reason}\n`, () => this.#socket.destroy());
  }

  #read(bytes: Buffer): void {
    const lines = (this.#rest + bytes.toString()).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) void this.#answer(line).then((answer) => this.#socket.write(`${answer}\n`));
  }

  async #answer(line: string): Promise<string> {
    const [verb = "", first = "", second = ""] = line.split(" ");
    if (verb === "login") {
      const credentials = { kind: "password", user: first, password: second } as const;
      this.#access = await this.#host.authenticate(credentials, this.#peer);
      return this.#access === undefined ? "refused" : `welcome ${this.#access.user}`;
    }
    if (verb === "publish") return String(this.#access?.mayPublish(first));
    if (verb === "subscribe") return String(this.#access?.maySubscribe(first));
    if (verb === "peer") return JSON.stringify(this.#peer);
    if (verb === "tls") return await this.#secure();
    if (verb === "quit") this.#socket.end();
    return line;
  }

  async #secure(): Promise<string> {
    this.#socket.off("data", this.#onData);
    this.#socket.write("go\n");
    const secured = await this.#peer.startTls!(this.#socket);
    this.#socket = secured.socket;
    this.#socket.on("error", () => undefined);
    this.#socket.on("data", this.#onData);
    return `secure ${secured.certificateName}`;
  }
}
