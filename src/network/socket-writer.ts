// What is on its way out on one socket: gathered in large chunks, written once a turn, counted until the system took it.

import type { Writable } from "node:stream";
import { CHUNK_BYTES, Chunk, giveChunkBack, takeChunk } from "./chunk-pool.js";

/** An idle connection holds a chunk of this size at first, and of at most the next. */
const SMALL_CHUNK_BYTES_MIN = 1024;
const SMALL_CHUNK_BYTES_MAX = 4 * 1024;
const NO_CHUNK = new Chunk(0);
const NOW = Promise.resolve();
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
  /** The same bytes, for who writes several at once. */
  words: DataView;
  /** The next free byte of {@link buffer}. */
  at: number;
  /** Runs when less than half of the limit is pending again, after it had been reached. Must not throw. */
  onRoom: (() => void) | undefined;
  /** Bytes that the system has taken, since the beginning. */
  takenBytes: number;
  private readonly socket: Writable;
  private readonly pendingBytesMax: number;
  /** Whether nobody looks at a chunk any more when its write has been confirmed. */
  private readonly isSystemSocket: boolean;
  /** Full chunks and large bodies that the socket has not been given. */
  private waiting: Buffer[];
  private waitingBytes: number;
  /** What the socket has been given and the system has not taken. */
  private givenBytes: number;
  private givenPieces: number;
  private chunk: Chunk;
  /** Where in it begins what is no piece yet. */
  private start: number;
  private smallChunkBytes: number;
  /** Full chunks, and how many pieces have to be taken before nobody looks at them. */
  private readonly leaving: Chunk[];
  private readonly leavingAt: number[];
  private pushedPieces: number;
  private takenPieces: number;
  private isScheduled: boolean;
  private isCongestedNow: boolean;
  private isEnding: boolean;
  private isEnded: boolean;
  private readonly flushInTurn: () => void;
  private readonly taken: (error?: Error | null) => void;

  constructor(socket: Writable, pendingBytesMax: number) {
    this.buffer = NO_CHUNK.buffer;
    this.words = NO_CHUNK.words;
    this.at = 0;
    this.onRoom = undefined;
    this.takenBytes = 0;
    this.socket = socket;
    this.pendingBytesMax = pendingBytesMax;
    // Other streams may hand a chunk on to somebody who keeps it.
    this.isSystemSocket = "bytesWritten" in socket && "remotePort" in socket;
    this.waiting = [];
    this.waitingBytes = 0;
    this.givenBytes = 0;
    this.givenPieces = 0;
    this.chunk = NO_CHUNK;
    this.start = 0;
    this.smallChunkBytes = SMALL_CHUNK_BYTES_MIN;
    this.leaving = [];
    this.leavingAt = [];
    this.pushedPieces = 0;
    this.takenPieces = 0;
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
    this.closePiece();
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
    this.closePiece();
    if (this.isEnded || this.waitingBytes === 0) return;
    // What a busy connection fills does not stay with it.
    if (this.buffer.length > SMALL_CHUNK_BYTES_MAX) this.leaveChunk();
    if (this.givenBytes === 0) this.give();
  }

  /** Sends what there is, and ends the socket then; nothing more is sent. */
  end(): void {
    if (this.isEnding || this.isEnded) return;
    this.flush();
    this.isEnding = true;
    if (this.pendingBytes === 0) this.endSocket();
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
    // As queueMicrotask, which makes more objects.
    void NOW.then(this.flushInTurn);
  }

  private nextChunk(sizeBytes: number): void {
    this.closePiece();
    const isSmall = this.pendingBytes + sizeBytes <= SMALL_CHUNK_BYTES_MAX;
    if (this.chunk !== NO_CHUNK) this.leaveChunk();
    if (sizeBytes > CHUNK_BYTES) this.encodeInto(new Chunk(sizeBytes));
    else if (isSmall) this.encodeInto(this.smallChunk(sizeBytes));
    else this.encodeInto(takeChunk());
  }

  private smallChunk(sizeBytes: number): Chunk {
    const chunk = new Chunk(Math.max(this.smallChunkBytes, sizeBytes));
    this.smallChunkBytes = Math.min(2 * this.smallChunkBytes, SMALL_CHUNK_BYTES_MAX);
    return chunk;
  }

  /** Nothing more is encoded into the chunk; it is used again when all of it is taken. */
  private leaveChunk(): void {
    if (this.isSystemSocket && this.chunk.buffer.length === CHUNK_BYTES) {
      this.leaving.push(this.chunk);
      this.leavingAt.push(this.pushedPieces);
    }
    this.encodeInto(NO_CHUNK);
  }

  private encodeInto(chunk: Chunk): void {
    this.chunk = chunk;
    this.buffer = chunk.buffer;
    this.words = chunk.words;
    this.at = 0;
    this.start = 0;
  }

  /** What was encoded so far is a piece of its own; the rest of the chunk stays in use. */
  private closePiece(): void {
    if (this.at === this.start) return;
    this.push(this.buffer.subarray(this.start, this.at));
    this.start = this.at;
  }

  private push(piece: Buffer): void {
    if (this.isEnding || this.isEnded) return;
    this.waiting.push(piece);
    this.waitingBytes += piece.length;
    this.pushedPieces += 1;
  }

  /** Hands the socket as many pieces as it may have at once. */
  private give(): void {
    const { socket } = this;
    const pieces = this.nextPieces();
    const last = pieces.length - 1;
    if (last > 0) socket.cork();
    for (let index = 0; index < last; index += 1) socket.write(pieces[index]!);
    socket.write(pieces[last]!, this.taken);
    if (last > 0) socket.uncork();
  }

  private nextPieces(): Buffer[] {
    const { waiting } = this;
    let count = 0;
    let bytes = 0;
    do {
      bytes += waiting[count]!.length;
      count += 1;
    } while (count < waiting.length && bytes + waiting[count]!.length <= WRITE_BYTES_MAX);
    this.waitingBytes -= bytes;
    this.givenBytes = bytes;
    this.givenPieces = count;
    if (count < waiting.length) return waiting.splice(0, count);
    this.waiting = [];
    return waiting;
  }

  private wasTaken(error: Error | null | undefined): void {
    if (error != null) return;
    this.takenBytes += this.givenBytes;
    this.takenPieces += this.givenPieces;
    this.givenBytes = 0;
    this.givenPieces = 0;
    this.useAgain();
    if (this.isEnded) return;
    if (this.waitingBytes > 0) this.give();
    else if (this.isEnding) this.endSocket();
    if (this.isCongestedNow && this.pendingBytes * 2 < this.pendingBytesMax) this.tellOfRoom();
  }

  /** Gives chunks back that nobody looks at any more; begins the current one anew when all of it is taken. */
  private useAgain(): void {
    if (!this.isSystemSocket) return;
    let count = 0;
    while (count < this.leaving.length && this.leavingAt[count]! <= this.takenPieces) {
      giveChunkBack(this.leaving[count]!);
      count += 1;
    }
    if (count > 0) {
      this.leaving.splice(0, count);
      this.leavingAt.splice(0, count);
    }
    if (this.waitingBytes > 0 || this.at !== this.start) return;
    this.at = 0;
    this.start = 0;
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
