// The real file system, over Node's callback functions: they cost less per call than its promise-based file handles.

import fs from "node:fs";
import { dirname } from "node:path";
import type { Files, OpenFile } from "./io.js";

const FLAGS = { create: "wx+", write: "r+", read: "r" } as const;

/**
 * Up to so many bytes are copied to the operating system's cache in this thread: handing them to another takes longer
 * than the copy. See docs/decisions/005-small-writes.md.
 */
const SMALL_WRITE_BYTES = 256 * 1024;

/** Where directories cannot be opened, their entries are as durable as the system makes them. */
const CAN_SYNC_DIRECTORIES = process.platform !== "win32";

export const systemFiles: Files = {
  async open(path, mode) {
    const descriptor = await call<number>((done) => fs.open(path, FLAGS[mode], 0o644, done));
    return new SystemFile(path, descriptor);
  },
  async makeDirectory(path) {
    await makeWithParents(path);
  },
  async list(path) {
    const names = await call<string[]>((done) => fs.readdir(path, done));
    return names.sort();
  },
  exists(path) {
    return new Promise((resolve) => fs.access(path, (error) => resolve(error === null)));
  },
  readFile(path) {
    return call<Buffer>((done) => fs.readFile(path, done));
  },
  rename(from, to) {
    return call((done) => fs.rename(from, to, done));
  },
  link(from, to) {
    return call((done) => fs.link(from, to, done));
  },
  remove(path) {
    return call((done) => fs.unlink(path, done));
  },
  removeDirectory(path) {
    return call((done) => fs.rm(path, { recursive: true, maxRetries: 3 }, done));
  },
  async syncDirectory(path) {
    if (!CAN_SYNC_DIRECTORIES) return;
    const descriptor = await call<number>((done) => fs.open(path, "r", done));
    try {
      await call((done) => fs.fsync(descriptor, done));
    } finally {
      await call((done) => fs.close(descriptor, done));
    }
  },
};

class SystemFile implements OpenFile {
  readonly path: string;
  private readonly descriptor: number;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.descriptor = descriptor;
  }

  /** Hot: one call per log in a commit of many. */
  write(bytes: Uint8Array, position: number): Promise<number> {
    if (bytes.length <= SMALL_WRITE_BYTES) return this.#writeAtOnce(bytes, position);
    return call<number>((done) => fs.write(this.descriptor, bytes, 0, bytes.length, position, done));
  }

  async #writeAtOnce(bytes: Uint8Array, position: number): Promise<number> {
    return fs.writeSync(this.descriptor, bytes, 0, bytes.length, position);
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let total = 0;
    while (total < target.length) {
      const read = await this.#readOnce(target, total, position + total);
      if (read === 0) break;
      total += read;
    }
    return total;
  }

  sync(): Promise<void> {
    return call((done) => fs.fdatasync(this.descriptor, done));
  }

  truncate(sizeBytes: number): Promise<void> {
    return call((done) => fs.ftruncate(this.descriptor, sizeBytes, done));
  }

  async size(): Promise<number> {
    const status = await call<fs.Stats>((done) => fs.fstat(this.descriptor, done));
    return status.size;
  }

  close(): Promise<void> {
    return call((done) => fs.close(this.descriptor, done));
  }

  #readOnce(target: Uint8Array, start: number, position: number): Promise<number> {
    return call((done) => fs.read(this.descriptor, target, start, target.length - start, position, done));
  }
}

type Done<T> = (error: NodeJS.ErrnoException | null, result?: T) => void;

/** Turns a callback into a promise. `T` is what the call gives, nothing for most. */
function call<T = void>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    start((error, result) => (error === null || error === undefined ? resolve(result as T) : reject(error)));
  });
}

/** Node's own recursive mkdir never returns where a parent is there and refuses children with ENOENT, as /proc does. */
async function makeWithParents(path: string): Promise<void> {
  try {
    await call<void>((done) => fs.mkdir(path, done));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if (code === "EEXIST" && (await isDirectory(path))) return;
    if (code !== "ENOENT" || parent === path || (await isDirectory(parent))) throw error;
    await makeWithParents(parent);
    await makeWithParents(path);
  }
}

function isDirectory(path: string): Promise<boolean> {
  return new Promise((resolve) =>
    fs.stat(path, (error, stats) => resolve(error === null && stats.isDirectory())),
  );
}
