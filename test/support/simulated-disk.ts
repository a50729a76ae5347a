// A disk that loses what was not synced when the power fails, tears writes, runs full and breaks, as a seed decides.

import type { Files, OpenFile } from "../../src/io/io.js";
import type { SeededRandom } from "./seeded-random.js";

/** What is asked of the disk, for whoever wants it to fail. */
export interface DiskOperation {
  readonly kind: "open" | "write" | "read" | "sync" | "truncate" | "syncDirectory" | "rename" | "remove";
  readonly path: string;
}

/** How one write or truncation changed a file. */
interface Change {
  readonly position: number;
  /** Undefined for a truncation to `position`. */
  readonly bytes: Buffer | undefined;
}

/** A change of names that reaches the disk as a whole or not at all. */
interface EntryChange {
  readonly removed: readonly (readonly [Folder, string])[];
  readonly added: readonly (readonly [Folder, string, Node])[];
}

type Node = File | Folder;

/** What crashes have taken, of all disks that followed one another. */
export interface Losses {
  writes: number;
  tornWrites: number;
  names: number;
}

class File {
  readonly content: Content;
  readonly durable: Content;
  unsynced: Change[] = [];
  /** Where a bit is not what was written. */
  flip: Flip | undefined = undefined;

  constructor(content = new Content(), durable = new Content()) {
    this.content = content;
    this.durable = durable;
  }
}

/** Bytes that grow in place. Behind the size they are zero. */
class Content {
  size: number;
  #bytes: Buffer;

  constructor(bytes = Buffer.alloc(256), size = 0) {
    this.#bytes = bytes;
    this.size = size;
  }

  apply(change: Change): void {
    const { position, bytes } = change;
    if (bytes === undefined) {
      if (position < this.size) this.#bytes.fill(0, position, this.size);
      this.size = position;
      return;
    }
    const end = position + bytes.length;
    if (end > this.#bytes.length) {
      const grown = Buffer.alloc(end * 2);
      this.#bytes.copy(grown, 0, 0, this.size);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, position);
    this.size = Math.max(this.size, end);
  }

  view(start = 0, end = this.size): Buffer {
    return this.#bytes.subarray(Math.min(start, this.size), Math.min(end, this.size));
  }

  copy(): Content {
    return new Content(Buffer.from(this.#bytes), this.size);
  }
}

class Folder {
  entries = new Map<string, Node>();
  durable = new Map<string, Node>();
  unsynced: EntryChange[] = [];
}

interface Flip {
  readonly position: number;
  readonly mask: number;
}

/** Runs what the disk was asked to do, at some later time. */
export type Schedule = (action: () => void) => void;

const SECTOR_BYTES = 512;

export class SimulatedDisk implements Files {
  /** Throws, or returns the most bytes that a write takes, when an operation is to go wrong. */
  onOperation: (operation: DiskOperation) => number | undefined = () => undefined;
  /** Writes beyond this fail with ENOSPC. */
  capacityBytes = Number.POSITIVE_INFINITY;
  losses: Losses = { writes: 0, tornWrites: 0, names: 0 };
  readonly #random: SeededRandom;
  readonly #schedule: Schedule;
  readonly #root: Folder;
  #isOff = false;

  constructor(random: SeededRandom, schedule: Schedule, root = new Folder()) {
    this.#random = random;
    this.#schedule = schedule;
    this.#root = root;
  }

  /** The bytes of all files. */
  get usedBytes(): number {
    let total = 0;
    for (const [, file] of filesIn(this.#root, "")) total += file.content.size;
    return total;
  }

  get #freeBytes(): number {
    const { capacityBytes } = this;
    return capacityBytes === Number.POSITIVE_INFINITY ? capacityBytes : capacityBytes - this.usedBytes;
  }

  /** Every file with its bytes as they are, which nobody may change. */
  *contents(): Generator<readonly [path: string, bytes: Buffer]> {
    for (const [path, file] of filesIn(this.#root, "")) yield [path, file.content.view()];
  }

  /** Changes a bit of what is on the disk; false where that is not at rest: it has not been synced. */
  flipBit(path: string, position: number, bit: number): boolean {
    const file = this.#find(path);
    if (!(file instanceof File)) throw systemError("ENOENT", path);
    const isAtRest =
      position < file.durable.size && !file.unsynced.some((change) => touches(change, position));
    if (!isAtRest) return false;
    file.flip = { position, mask: 1 << bit };
    this.#turnBit(file, file.flip);
    return true;
  }

  /** Puts every bit right that was flipped and has not been written over. */
  repairBits(): void {
    for (const [, file] of filesIn(this.#root, "")) {
      const { flip } = file;
      file.flip = undefined;
      if (flip !== undefined) this.#turnBit(file, flip);
    }
  }

  #turnBit(file: File, { position, mask }: Flip): void {
    for (const content of [file.content, file.durable])
      if (position < content.size) content.view()[position]! ^= mask;
  }

  /** Nothing that was asked for is done any more. */
  turnOff(): void {
    this.#isOff = true;
  }

  /**
   * The disk as the next process finds it. `power` also loses what was not synced, or parts of it; otherwise only the
   * process died. The old disk must not be used any more.
   */
  afterCrash(power: boolean, schedule: Schedule): SimulatedDisk {
    this.turnOff();
    // What a process did stays as it is, in memory or on the disk.
    const disk = new SimulatedDisk(this.#random, schedule, power ? new Folder() : this.#root);
    disk.losses = this.losses;
    if (power) this.#copyFolder(this.#root, disk.#root, new Map(), new Map());
    return disk;
  }

  open(path: string, mode: "create" | "write" | "read"): Promise<OpenFile> {
    return this.#later({ kind: "open", path }, () => {
      const [folder, name] = this.#parent(path);
      const node = folder.entries.get(name);
      if (mode === "create") {
        if (node !== undefined) throw systemError("EEXIST", path);
        const file = new File();
        this.#change({ removed: [], added: [[folder, name, file]] });
        return this.#handle(path, file);
      }
      if (node === undefined) throw systemError("ENOENT", path);
      if (node instanceof Folder) throw systemError("EISDIR", path);
      return this.#handle(path, node);
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#later(undefined, () => {
      let folder = this.#root;
      for (const name of partsOf(path)) {
        let next = folder.entries.get(name);
        if (next === undefined) {
          next = new Folder();
          this.#change({ removed: [], added: [[folder, name, next]] });
        }
        if (!(next instanceof Folder)) throw systemError("EEXIST", path);
        folder = next;
      }
    });
  }

  list(path: string): Promise<string[]> {
    return this.#later(undefined, () => [...this.#folder(path).entries.keys()].sort());
  }

  exists(path: string): Promise<boolean> {
    return this.#later(undefined, () => this.#find(path) !== undefined);
  }

  readFile(path: string): Promise<Buffer> {
    return this.#later({ kind: "read", path }, () => {
      const node = this.#find(path);
      if (!(node instanceof File)) throw systemError("ENOENT", path);
      return Buffer.from(node.content.view());
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#later({ kind: "rename", path: from }, () => {
      const [fromFolder, fromName] = this.#parent(from);
      const [toFolder, toName] = this.#parent(to);
      const node = fromFolder.entries.get(fromName);
      if (node === undefined) throw systemError("ENOENT", from);
      this.#change({ removed: [[fromFolder, fromName]], added: [[toFolder, toName, node]] });
    });
  }

  link(from: string, to: string): Promise<void> {
    return this.#later(undefined, () => {
      const node = this.#find(from);
      const [folder, name] = this.#parent(to);
      if (node === undefined) throw systemError("ENOENT", from);
      if (folder.entries.has(name)) throw systemError("EEXIST", to);
      this.#change({ removed: [], added: [[folder, name, node]] });
    });
  }

  remove(path: string): Promise<void> {
    return this.#later({ kind: "remove", path }, () => {
      const [folder, name] = this.#parent(path);
      if (!folder.entries.has(name)) throw systemError("ENOENT", path);
      this.#change({ removed: [[folder, name]], added: [] });
    });
  }

  removeDirectory(path: string): Promise<void> {
    return this.#later({ kind: "remove", path }, () => {
      const [folder, name] = this.#parent(path);
      this.#change({ removed: [[folder, name]], added: [] });
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#later({ kind: "syncDirectory", path }, () => {
      const folder = this.#folder(path);
      for (const change of folder.unsynced) {
        for (const [at, name] of change.removed) at.durable.delete(name);
        for (const [at, name, node] of change.added) at.durable.set(name, node);
        for (const [at] of [...change.removed, ...change.added]) {
          if (at !== folder) at.unsynced = at.unsynced.filter((other) => other !== change);
        }
      }
      folder.unsynced = [];
    });
  }

  #handle(path: string, file: File): OpenFile {
    return {
      path,
      write: (bytes, position) => {
        const copy = Buffer.from(bytes);
        return this.#later({ kind: "write", path }, (limit) => {
          const room = this.#freeBytes + Math.max(file.content.size - position, 0);
          const size = Math.min(copy.length, limit ?? copy.length, Math.max(room, 0));
          if (size === 0 && copy.length > 0) throw systemError("ENOSPC", path);
          this.#apply(file, { position, bytes: copy.subarray(0, size) });
          return size;
        });
      },
      read: (target, position) =>
        this.#later({ kind: "read", path }, () => {
          const bytes = file.content.view(position, position + target.length);
          target.set(bytes);
          return bytes.length;
        }),
      sync: () =>
        this.#later(
          { kind: "sync", path },
          () => {
            for (const change of file.unsynced) file.durable.apply(change);
            file.unsynced = [];
          },
          () => {
            // As Linux has it: some of it may be on the disk, and what is not will never be, though it can be read.
            this.#keepSome(file.unsynced, file.durable);
            file.unsynced = [];
          },
        ),
      truncate: (sizeBytes) =>
        this.#later({ kind: "truncate", path }, () => {
          this.#apply(file, { position: sizeBytes, bytes: undefined });
        }),
      size: () => this.#later(undefined, () => file.content.size),
      close: () => this.#later(undefined, () => {}),
    };
  }

  #later<T>(
    operation: DiskOperation | undefined,
    action: (limit: number | undefined) => T,
    onFault?: () => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#schedule(() => {
        if (this.#isOff) return;
        try {
          const limit = operation === undefined ? undefined : this.#ask(operation, onFault);
          resolve(action(limit));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #ask(operation: DiskOperation, onFault: (() => void) | undefined): number | undefined {
    try {
      return this.onOperation(operation);
    } catch (error) {
      onFault?.();
      throw error;
    }
  }

  #apply(file: File, change: Change): void {
    file.content.apply(change);
    file.unsynced.push(change);
    if (file.flip !== undefined && touches(change, file.flip.position)) file.flip = undefined;
  }

  #change(change: EntryChange): void {
    for (const [folder, name] of change.removed) folder.entries.delete(name);
    for (const [folder, name, node] of change.added) folder.entries.set(name, node);
    const folders = new Set([...change.removed, ...change.added].map(([folder]) => folder));
    for (const folder of folders) folder.unsynced.push(change);
  }

  #copyFolder(from: Folder, to: Folder, decided: Map<EntryChange, boolean>, copies: Map<Node, Node>): void {
    for (const [name, node] of this.#survivingEntries(from, decided)) {
      let copy = copies.get(node);
      if (copy === undefined) {
        copy = node instanceof Folder ? new Folder() : this.#survivingFile(node);
        copies.set(node, copy);
        if (node instanceof Folder) this.#copyFolder(node, copy as Folder, decided, copies);
      }
      to.entries.set(name, copy);
    }
    to.durable = new Map(to.entries);
  }

  #survivingEntries(folder: Folder, decided: Map<EntryChange, boolean>): Map<string, Node> {
    const entries = new Map(folder.durable);
    for (const change of folder.unsynced) {
      const isKept = decided.get(change) ?? this.#random.chance(0.5);
      if (!isKept && !decided.has(change)) this.losses.names += 1;
      decided.set(change, isKept);
      if (!isKept) continue;
      for (const [at, name] of change.removed) if (at === folder) entries.delete(name);
      for (const [at, name, node] of change.added) if (at === folder) entries.set(name, node);
    }
    return entries;
  }

  #survivingFile(file: File): File {
    const durable = file.durable.copy();
    this.#keepSome(file.unsynced, durable);
    const copy = new File(durable.copy(), durable);
    copy.flip = file.flip;
    return copy;
  }

  /** Parts of what was not synced may have reached the disk. */
  #keepSome(changes: readonly Change[], durable: Content): void {
    for (const change of changes) for (const part of this.#survivingParts(change)) durable.apply(part);
  }

  /** All of a change, none, its beginning up to some byte, or any of its sectors. */
  #survivingParts(change: Change): Change[] {
    const fate = this.#random.below(4);
    if (fate === 0) return [change];
    if (fate === 1 || change.bytes === undefined) {
      this.losses.writes += 1;
      return [];
    }
    this.losses.tornWrites += 1;
    if (fate === 2) {
      return [
        {
          position: change.position,
          bytes: change.bytes.subarray(0, this.#random.below(change.bytes.length)),
        },
      ];
    }
    const sectors: Change[] = [];
    for (let at = 0; at < change.bytes.length; ) {
      const position = change.position + at;
      const size = SECTOR_BYTES - (position % SECTOR_BYTES);
      if (this.#random.chance(0.5)) sectors.push({ position, bytes: change.bytes.subarray(at, at + size) });
      at += size;
    }
    return sectors;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of partsOf(path)) node = node instanceof Folder ? node.entries.get(name) : undefined;
    return node;
  }

  #folder(path: string): Folder {
    const node = this.#find(path);
    if (node instanceof Folder) return node;
    throw systemError("ENOENT", path);
  }

  #parent(path: string): [Folder, string] {
    const parts = partsOf(path);
    const name = parts.pop()!;
    return [this.#folder(parts.join("/")), name];
  }
}

function* filesIn(folder: Folder, path: string): Generator<readonly [string, File]> {
  for (const [name, node] of folder.entries) {
    if (node instanceof Folder) yield* filesIn(node, `${path}${name}/`);
    else yield [path + name, node];
  }
}

/** Whether the change has something to do with the byte at `position`. */
function touches(change: Change, position: number): boolean {
  if (change.bytes === undefined) return position >= change.position;
  return position >= change.position && position < change.position + change.bytes.length;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

export function systemError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code, path });
}
