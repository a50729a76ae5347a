// A client of a server that keeps the text that comes until it is taken.

import type { Socket } from "node:net";

export class TextClient {
  readonly socket: Socket;
  /** What came and was not taken: a character for each byte. */
  received = "";
  isClosed = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => {
      this.received += bytes.toString("latin1");
      this.#wake();
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** Takes what comes until `end` has come, `end` included. Undefined when the connection is closed before. */
  async next(end: string): Promise<string | undefined> {
    for (;;) {
      const at = this.received.indexOf(end);
      if (at >= 0) {
        const taken = this.received.slice(0, at + end.length);
        this.received = this.received.slice(at + end.length);
        return taken;
      }
      if (this.isClosed) return undefined;
      await this.#change();
    }
  }

  /** Takes everything that comes until the server hangs up. */
  async rest(): Promise<string> {
    while (!this.isClosed) await this.#change();
    const taken = this.received;
    this.received = "";
    return taken;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
