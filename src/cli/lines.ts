// Cuts a stream of bytes into lines without ever holding more than one chunk and one line of it.

import { Buffer } from "node:buffer";
import type { Files } from "../io/io.js";
import { EXIT } from "./exit-codes.js";
import { CommandFailure } from "./failure.js";

/** One line without its line end. `bytes` is a view that stays valid. */
export interface Line {
  /** Counted from 1, as editors do. */
  readonly number: number;
  readonly bytes: Buffer;
}

/** A longer line is no message that any queue takes. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const FILE_CHUNK_BYTES = 256 * 1024;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * The lines of `chunks`, as many at a time as a chunk completes. Line ends are LF or CRLF; the last line may lack
 * one; a byte order mark is skipped. Errors: bad input for a line over {@link LINE_BYTES_MAX} bytes.
 */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Line[]> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    const lines = splitter.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    if (lines.length > 0) yield lines;
  }
  const last = splitter.finish();
  if (last !== undefined) yield [last];
}

class LineSplitter {
  /** The pieces of the line that no chunk has ended yet. */
  private pieces: Buffer[];
  private pieceBytes: number;
  private lineNumber: number;

  constructor() {
    this.pieces = [];
    this.pieceBytes = 0;
    this.lineNumber = 0;
  }

  /** Hot: every byte of the input passes here. `indexOf` is the only loop over bytes. */
  push(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      lines.push(this.#complete(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return lines;
  }

  finish(): Line | undefined {
    return this.pieceBytes === 0 ? undefined : this.#complete(Buffer.alloc(0));
  }

  #complete(end: Buffer): Line {
    const whole = this.pieceBytes === 0 ? end : Buffer.concat([...this.pieces, end]);
    this.pieces = [];
    this.pieceBytes = 0;
    this.lineNumber += 1;
    const isMarked = this.lineNumber === 1 && whole.subarray(0, 3).equals(BYTE_ORDER_MARK);
    const last = whole.at(-1) === CARRIAGE_RETURN ? whole.length - 1 : whole.length;
    return { number: this.lineNumber, bytes: whole.subarray(isMarked ? 3 : 0, last) };
  }

  #keep(piece: Buffer): void {
    this.pieces.push(piece);
    this.pieceBytes += piece.length;
    if (this.pieceBytes <= LINE_BYTES_MAX) return;
    throw new CommandFailure(
      EXIT.badInput,
      `line ${this.lineNumber + 1} is longer than ${LINE_BYTES_MAX / 1024 / 1024} MiB`,
      "JSON Lines have one JSON value on each line; use --file to send a whole file as one message",
    );
  }
}

/** The content of a file, a chunk at a time. Errors: no such file, not readable. */
export async function* readChunks(files: Files, path: string): AsyncGenerator<Uint8Array> {
  const file = await files.open(path, "read").catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    for (let position = 0; ; ) {
      // A chunk of its own each time: the lines are views of it.
      const chunk = Buffer.allocUnsafeSlow(FILE_CHUNK_BYTES);
      const read = await file.read(chunk, position).catch((error: unknown) => {
        throw unreadable(path, error);
      });
      if (read === 0) return;
      yield chunk.subarray(0, read);
      position += read;
    }
  } finally {
    await file.close();
  }
}

/** What to say about a file that cannot be read. */
function unreadable(path: string, error: unknown): CommandFailure {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT") {
    return new CommandFailure(EXIT.notFound, `there is no file ${path}`, undefined, error);
  }
  if (code === "ESPIPE" || code === "EISDIR") {
    const what = code === "EISDIR" ? "is a directory" : "is no regular file";
    return new CommandFailure(
      EXIT.badInput,
      `${path} ${what}`,
      "pipe it in instead: ... | omnibus ...",
      error,
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new CommandFailure(EXIT.failed, `${path} cannot be read: ${reason}`, undefined, error);
}
