// A line that is typed without being shown, or comes from a pipe.

import type { World } from "./world.js";

const ENTER = 0x0d;
const LINE_FEED = 0x0a;
const INTERRUPT = 0x03;
const END = 0x04;
const BACKSPACE: readonly number[] = [0x08, 0x7f];

export class SecretInput {
  readonly #world: World;
  readonly #isTyped: boolean;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();

  constructor(world: World) {
    this.#world = world;
    this.#isTyped = world.stdin.isTTY === true;
    this.#chunks = world.stdin[Symbol.asyncIterator]();
  }

  /** The next line of standard input without its end; on a terminal asked for with `prompt`, and not echoed. */
  async readLine(prompt: string): Promise<string> {
    const { stdin, stderr, signal } = this.#world;
    if (this.#isTyped) stderr.write(prompt);
    stdin.setRawMode?.(true);
    try {
      const line = await this.#line();
      signal.throwIfAborted();
      return line;
    } finally {
      stdin.setRawMode?.(false);
      if (this.#isTyped) stderr.write("\n");
    }
  }

  async #line(): Promise<string> {
    const bytes: number[] = [];
    for (let byte = await this.#byte(); byte !== undefined; byte = await this.#byte()) {
      if (byte === ENTER || byte === LINE_FEED || (this.#isTyped && byte === END)) break;
      if (this.#isTyped && byte === INTERRUPT) process.kill(process.pid, "SIGINT");
      else if (this.#isTyped && BACKSPACE.includes(byte)) removeCharacter(bytes);
      else bytes.push(byte);
    }
    return Buffer.from(bytes).toString("utf8");
  }

  async #byte(): Promise<number | undefined> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#chunk = next.value;
    }
    const [byte] = this.#chunk;
    this.#chunk = this.#chunk.subarray(1);
    return byte;
  }
}

/** The last character, of however many bytes. */
function removeCharacter(bytes: number[]): void {
  for (let byte = bytes.pop(); byte !== undefined && (byte & 0xc0) === 0x80; ) byte = bytes.pop();
}
