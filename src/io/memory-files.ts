// A file system that lives in memory and is gone with the process. Logs of the memory level lie in one.

import type { Files, OpenFile } from "./io.js";

/** Files grow by chunks, so that appending never copies what is there. The first chunk of a file grows by doubling. */
const CHUNK_BYTES = 64 * 1024;
const FIRST_CHUNK_BYTES = 1024;
/** Chunks of files that are gone are kept for others up to so many: what is allocated has to be collected. */
const SPARE_CHUNKS_MAX = 256;

/** Paths are compared as they are written: `/` separates, nothing is normalized. */
export class MemoryFiles implements Files {
  private readonly contents: Map<string, Content>;
  /** By path, the paths of what is in it. */
  private readonly directories: Map<string, Set<string>>;
  private readonly spare: Buffer[];

  constructor() {
    this.contents = new Map();
    this.spare = [];
    this.directories = new Map([
      ["", new Set<string>()],
      [".", new Set<string>()],
    ]);
  }

  async open(path: string, mode: "create" | "write" | "read"): Promise<OpenFile> {
    if (mode !== "create") return new MemoryFile(path, this.#content(path, "open"), mode === "write");
    this.#requireFree(path, "open");
    const content = new Content(this.spare);
    this.#put(path, content);
    return new MemoryFile(path, content, true);
  }

  async makeDirectory(path: string): Promise<void> {
    const missing: string[] = [];
    for (let at = path; !this.directories.has(at); at = parentOf(at)) {
      if (this.contents.has(at)) throw systemError("EEXIST", "mkdir", path);
      missing.push(at);
    }
    for (const at of missing.reverse()) {
      this.directories.set(at, new Set());
      this.directories.get(parentOf(at))!.add(at);
    }
  }

  async list(path: string): Promise<string[]> {
    const inside = this.directories.get(path);
    if (inside === undefined) throw systemError("ENOENT", "scandir", path);
    return Array.from(inside, nameOf).sort();
  }

  async exists(path: string): Promise<boolean> {
    return this.contents.has(path) || this.directories.has(path);
  }

  async readFile(path: string): Promise<Buffer> {
    const content = this.#content(path, "open");
    const bytes = Buffer.allocUnsafeSlow(content.sizeBytes);
    content.read(bytes, 0);
    return bytes;
  }

  async rename(from: string, to: string): Promise<void> {
    if (this.directories.has(from)) {
      await this.#renameDirectory(from, to);
      return;
    }
    const content = this.#content(from, "rename");
    if (this.directories.has(to)) throw systemError("EISDIR", "rename", to);
    this.#requireParent(to, "rename");
    content.nameCount += 1;
    this.#drop(from);
    if (this.contents.has(to)) this.#forget(to);
    this.#put(to, content);
    content.nameCount -= 1;
  }

  async link(from: string, to: string): Promise<void> {
    const content = this.#content(from, "link");
    this.#requireFree(to, "link");
    this.#put(to, content);
  }

  async remove(path: string): Promise<void> {
    if (!this.contents.has(path)) throw systemError("ENOENT", "unlink", path);
    this.#drop(path);
  }

  async removeDirectory(path: string): Promise<void> {
    if (!this.directories.has(path)) throw systemError("ENOENT", "rm", path);
    for (const inside of this.directories.get(path)!) {
      if (this.directories.has(inside)) await this.removeDirectory(inside);
      else this.#forget(inside);
    }
    this.directories.delete(path);
    this.directories.get(parentOf(path))?.delete(path);
  }

  async syncDirectory(path: string): Promise<void> {
    if (!this.directories.has(path)) throw systemError("ENOENT", "open", path);
  }

  async #renameDirectory(from: string, to: string): Promise<void> {
    if ((await this.exists(to)) && (await this.list(to)).length > 0)
      throw systemError("ENOTEMPTY", "rename", to);
    this.#requireParent(to, "rename");
    await this.makeDirectory(to);
    for (const inside of [...this.directories.get(from)!])
      await this.rename(inside, to + inside.slice(from.length));
    await this.removeDirectory(from);
  }

  #put(path: string, content: Content): void {
    content.nameCount += 1;
    this.contents.set(path, content);
    this.directories.get(parentOf(path))!.add(path);
  }

  #drop(path: string): void {
    this.#forget(path);
    this.directories.get(parentOf(path))!.delete(path);
  }

  #forget(path: string): void {
    const content = this.contents.get(path)!;
    this.contents.delete(path);
    content.nameCount -= 1;
    content.giveBackIfGone();
  }

  #content(path: string, call: string): Content {
    const content = this.contents.get(path);
    if (content !== undefined) return content;
    throw systemError(this.directories.has(path) ? "EISDIR" : "ENOENT", call, path);
  }

  #requireFree(path: string, call: string): void {
    if (this.contents.has(path) || this.directories.has(path)) throw systemError("EEXIST", call, path);
    this.#requireParent(path, call);
  }

  #requireParent(path: string, call: string): void {
    if (!this.directories.has(parentOf(path))) throw systemError("ENOENT", call, path);
  }
}

class MemoryFile implements OpenFile {
  readonly path: string;
  private readonly content: Content;
  private readonly canWrite: boolean;
  private isOpen: boolean;

  constructor(path: string, content: Content, canWrite: boolean) {
    this.path = path;
    this.content = content;
    this.canWrite = canWrite;
    this.isOpen = true;
    content.openCount += 1;
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    this.writeNow(bytes, position);
    return bytes.length;
  }

  writeNow(bytes: Uint8Array, position: number): void {
    this.#require(this.isOpen && this.canWrite, "write");
    this.content.write(bytes, position);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.#require(this.isOpen, "read");
    return this.content.read(target, position);
  }

  async sync(): Promise<void> {
    this.#require(this.isOpen, "fdatasync");
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#require(this.isOpen && this.canWrite, "ftruncate");
    this.content.truncate(sizeBytes);
  }

  async size(): Promise<number> {
    this.#require(this.isOpen, "fstat");
    return this.content.sizeBytes;
  }

  async close(): Promise<void> {
    this.#require(this.isOpen, "close");
    this.isOpen = false;
    this.content.openCount -= 1;
    this.content.giveBackIfGone();
  }

  #require(condition: boolean, call: string): void {
    if (!condition) throw systemError("EBADF", call, this.path);
  }
}

/** The bytes of one file, which may have several names. Bytes past its size are always zero. */
class Content {
  sizeBytes: number;
  nameCount: number;
  openCount: number;
  private readonly chunks: Buffer[];
  private readonly spare: Buffer[];

  constructor(spare: Buffer[]) {
    this.sizeBytes = 0;
    this.nameCount = 0;
    this.openCount = 0;
    this.chunks = [];
    this.spare = spare;
  }

  /** Nobody can reach the bytes any more: reading and writing copy them. */
  giveBackIfGone(): void {
    if (this.nameCount > 0 || this.openCount > 0) return;
    for (const chunk of this.chunks)
      if (chunk.length === CHUNK_BYTES && this.spare.length < SPARE_CHUNKS_MAX) this.spare.push(chunk);
    this.chunks.length = 0;
    this.sizeBytes = 0;
  }

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    this.#reserve(end);
    for (let from = 0; from < bytes.length; ) {
      const start = (position + from) % CHUNK_BYTES;
      const size = Math.min(CHUNK_BYTES - start, bytes.length - from);
      this.#chunkAt(position + from).set(bytes.subarray(from, from + size), start);
      from += size;
    }
    if (end > this.sizeBytes) this.sizeBytes = end;
  }

  read(target: Uint8Array, position: number): number {
    const total = Math.max(Math.min(target.length, this.sizeBytes - position), 0);
    for (let done = 0; done < total; ) {
      const start = (position + done) % CHUNK_BYTES;
      const size = Math.min(CHUNK_BYTES - start, total - done);
      target.set(this.#chunkAt(position + done).subarray(start, start + size), done);
      done += size;
    }
    return total;
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes > this.sizeBytes) this.#reserve(sizeBytes);
    else {
      this.chunks.length = Math.ceil(sizeBytes / CHUNK_BYTES);
      const rest = sizeBytes % CHUNK_BYTES;
      if (rest > 0) this.#chunkAt(sizeBytes).fill(0, rest);
    }
    this.sizeBytes = sizeBytes;
  }

  #chunkAt(position: number): Buffer {
    return this.chunks[Math.floor(position / CHUNK_BYTES)]!;
  }

  #reserve(sizeBytes: number): void {
    if (sizeBytes > CHUNK_BYTES || this.chunks.length > 1) {
      if (this.chunks.length > 0) this.#growFirst(CHUNK_BYTES);
      while (this.chunks.length * CHUNK_BYTES < sizeBytes)
        this.chunks.push(this.spare.pop()?.fill(0) ?? Buffer.alloc(CHUNK_BYTES));
    } else if (sizeBytes > 0) {
      this.#growFirst(sizeBytes);
    }
  }

  #growFirst(sizeBytes: number): void {
    const first = this.chunks[0];
    if (first !== undefined && first.length >= sizeBytes) return;
    let capacity = first?.length ?? FIRST_CHUNK_BYTES;
    while (capacity < sizeBytes) capacity *= 2;
    const grown = Buffer.alloc(capacity);
    if (first !== undefined) grown.set(first);
    this.chunks[0] = grown;
  }
}

function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at === -1 ? "." : path.slice(0, at);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function systemError(code: string, call: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call, path });
}
