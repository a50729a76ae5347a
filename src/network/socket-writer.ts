// What is on its way out on one socket: gathered in large chunks, written once a turn, counted until the system took it.

import type { Writable } from "node:stream";

/** Chunks are as large as what was lately sent in a turn, within these bounds. */
const CHUNK_BYTES_MIN = 1024;
const CHUNK_BYTES_MAX = 64 * 1024;
/** A chunk up to this size is kept for the next turn: an idle connection holds no more. */
const KEPT_BYTES_MAX = 4 * 1024;
const NO_BYTES = Buffer.alloc(0);
/** A view as large as this is written as it is; smaller ones are copied, which costs less than another write. */
const COPY_BYTES_MAX = 16 * 1024;
/** What the socket is given before it has taken what it was given before: so it can be seen how it gets on. */
const WRITE_BYTES_MAX = 512 * 1024;

/**
 * Hot: protocols encode straight into {@link buffer} at {@link at}, after {@link ensure}. What was written in one turn goes
 * to the socket together, when the turn's work is done.
 */
export class SocketWriter {
  /** Where to encode to; another one after each {@link ensure}. */
  buffer: Buffer;
  /** The next free byte of {@link buffer}. */
  at: number;
  /** Runs when less than half of the limit is pending again, after it had been reached. Must not throw. */
  onRoom: (() => void) | undefined;
  /** Bytes that the system has taken, since the beginning. */
  takenBytes: number;
  private readonly socket: Writable;
  private readonly pendingBytesMax: number;
  /** Full chunks and large bodies that the socket has not been given. */
  private readonly waiting: Buffer[];
  private waitingBytes: number;
  /** What the socket has been given and the system has not taken. */
  private givenBytes: number;
  private start: number;
  private chunkBytes: number;
  private isScheduled: boolean;
  private isCongestedNow: boolean;
  private isEnding: boolean;
  private isEnded: boolean;
  private readonly flushInTurn: () => void;
  private readonly taken: (error?: Error | null) => void;

  constructor(socket: Writable, pendingBytesMax: number) {
    this.socket = socket;
    this.pendingBytesMax = pendingBytesMax;
    this.buffer = NO_BYTES;
    this.at = 0;
    this.onRoom = undefined;
    this.takenBytes = 0;
    this.waiting = [];
    this.waitingBytes = 0;
    this.givenBytes = 0;
    this.start = 0;
    this.chunkBytes = CHUNK_BYTES_MIN;
    this.isScheduled = false;
    this.isCongestedNow = false;
    this.isEnding = false;
    this.isEnded = false;
    this.flushInTurn = () => this.flush();
    this.taken = (error) => this.wasTaken(error);
  }

  /** Hot: bytes that the system has not taken yet. */
  get pendingBytes(): number {
    return this.waitingBytes + this.givenBytes + this.at - this.start;
  }

  /** Hot: whether as much waits as may: who can wait should, until {@link onRoom}. */
  get isCongested(): boolean {
    if (!this.isCongestedNow && this.pendingBytes >= this.pendingBytesMax) this.isCongestedNow = true;
    return this.isCongestedNow;
  }

  /** Hot: makes room for so many bytes at {@link at}, and sees to it that they are sent. */
  ensure(sizeBytes: number): void {
    if (!this.isScheduled) this.schedule();
    if (this.at + sizeBytes > this.buffer.length) this.nextChunk(sizeBytes);
  }

  /** Hot: sends the bytes of `view`, which nobody may change from now on. */
  view(view: Uint8Array): void {
    const { length } = view;
    if (length <= COPY_BYTES_MAX) {
      this.ensure(length);
      this.buffer.set(view, this.at);
      this.at += length;
      return;
    }
    if (!this.isScheduled) this.schedule();
    this.closeChunk();
    for (let from = 0; from < length; from += WRITE_BYTES_MAX) {
      const sizeBytes = Math.min(WRITE_BYTES_MAX, length - from);
      this.push(Buffer.from(view.buffer, view.byteOffset + from, sizeBytes));
    }
  }

  text(text: string): void {
    this.ensure(text.length * 3);
    this.at += this.buffer.write(text, this.at);
  }

  /** Gives everything to the socket now, or as soon as it has taken what it was given before. */
  flush(): void {
    this.isScheduled = false;
    this.closeChunk();
    if (this.isEnded || this.waitingBytes === 0) return;
    this.chunkBytes = Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, this.waitingBytes));
    if (this.buffer.length > KEPT_BYTES_MAX) this.nextChunkIs(NO_BYTES);
    if (this.givenBytes === 0) this.give();
  }

  /** Sends what there is, and ends the socket then; nothing more is sent. */
  end(): void {
    if (this.isEnding || this.isEnded) return;
    this.flush();
    this.isEnding = true;
    if (this.waitingBytes === 0) this.endSocket();
  }

  /** Drops what there is; nothing more is sent. */
  discard(): void {
    this.isEnded = true;
    this.waiting.length = 0;
    this.waitingBytes = 0;
    this.start = this.at;
  }

  private schedule(): void {
    this.isScheduled = true;
    queueMicrotask(this.flushInTurn);
  }

  private nextChunk(sizeBytes: number): void {
    this.closeChunk();
    this.nextChunkIs(Buffer.allocUnsafeSlow(Math.max(this.chunkBytes, sizeBytes)));
    this.chunkBytes = Math.min(CHUNK_BYTES_MAX, this.chunkBytes * 2);
  }

  private nextChunkIs(buffer: Buffer): void {
    this.buffer = buffer;
    this.at = 0;
    this.start = 0;
  }

  /** What was encoded so far is a piece of its own; the rest of the chunk stays in use. */
  private closeChunk(): void {
    if (this.at === this.start) return;
    this.push(this.buffer.subarray(this.start, this.at));
    this.start = this.at;
  }

  private push(piece: Buffer): void {
    if (this.isEnding || this.isEnded) return;
    this.waiting.push(piece);
    this.waitingBytes += piece.length;
  }

  /** Hands the socket as many pieces as it may have at once. */
  private give(): void {
    const { socket, waiting } = this;
    let count = 0;
    let bytes = 0;
    do {
      bytes += waiting[count]!.length;
      count += 1;
    } while (count < waiting.length && bytes + waiting[count]!.length <= WRITE_BYTES_MAX);
    const pieces = count === waiting.length ? waiting.slice() : waiting.slice(0, count);
    waiting.splice(0, count);
    this.waitingBytes -= bytes;
    this.givenBytes = bytes;
    if (count === 1) {
      socket.write(pieces[0]!, this.taken);
      return;
    }
    socket.cork();
    for (let index = 0; index < count - 1; index += 1) socket.write(pieces[index]!);
    socket.write(pieces[count - 1]!, this.taken);
    socket.uncork();
  }

  private wasTaken(error: Error | null | undefined): void {
    if (error != null) return;
    this.takenBytes += this.givenBytes;
    this.givenBytes = 0;
    if (this.waitingBytes > 0) this.give();
    else if (this.isEnding) this.endSocket();
    if (this.isCongestedNow && this.pendingBytes * 2 < this.pendingBytesMax) this.tellOfRoom();
  }

  private tellOfRoom(): void {
    this.isCongestedNow = false;
    this.onRoom?.();
  }

  private endSocket(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.socket.end();
  }
}
