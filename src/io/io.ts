// The world as Omnibus sees it: files, time, randomness, processes. Everything else in the project reaches them
// only through an `Io` that was handed in, so that a test or a simulator can replace the whole world.

/** The world, handed to every part that touches it. */
export interface Io {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly processes: Processes;
}

/** A flat view of a file system. Paths are joined with `/`. Errors are Node's, with `code` (ENOSPC, EIO, ENOENT, ...). */
export interface Files {
  /**
   * Opens a file for reading and writing at positions.
   * - `"create"`: makes it; EEXIST when it is there already.
   * - `"write"`: it must exist.
   * - `"read"`: it must exist; writing fails.
   * A created file survives a power failure only after {@link Files.syncDirectory} of its folder.
   */
  open(path: string, mode: "create" | "write" | "read"): Promise<OpenFile>;
  /** Makes a folder and its parents; not an error when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** The names in a folder, sorted. */
  list(path: string): Promise<string[]>;
  exists(path: string): Promise<boolean>;
  /** The whole content of a small file. */
  readFile(path: string): Promise<Buffer>;
  /** Replaces `to` in one step if it exists. */
  rename(from: string, to: string): Promise<void>;
  /** Makes `to` a second name of `from`; EEXIST when `to` is there. The one atomic create-if-absent with content. */
  link(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Removes a folder and everything in it. */
  removeDirectory(path: string): Promise<void>;
  /** Makes creations, renames and removals in this folder durable. */
  syncDirectory(path: string): Promise<void>;
}

/** An open file. Positions are bytes from its beginning. Calls may overlap; their order is then not defined. */
export interface OpenFile {
  readonly path: string;
  /** Writes `bytes` at `position` and returns how many were written, which may be fewer. The caller must not change `bytes` until then. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Only files in memory have it: writes all of `bytes` before it returns. */
  readonly writeNow?: (bytes: Uint8Array, position: number) => void;
  /** Reads into all of `target` and returns how many bytes there were, fewer only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Makes the written content durable (fdatasync). After a failure nothing is known about what was not yet synced. */
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** Time and turns. */
export interface Clock {
  /** Wall clock, milliseconds since 1970, whole. May jump. */
  nowMs(): number;
  /** Milliseconds since some moment, fractional. Never goes back. For measuring and for leases. */
  monotonicMs(): number;
  /** Runs `action` once after `delayMs`. A real timer does not keep the process alive when `background` is true. */
  setTimer(action: () => void, delayMs: number, background?: boolean): Timer;
  /** Runs `action` in a later turn, after everything that is ready in this one. */
  defer(action: () => void): void;
}

export interface Timer {
  /** Does nothing when the timer has run. */
  cancel(): void;
}

export interface Random {
  /** A whole number from 0 up to, not including, 2^32. */
  uint32(): number;
  /** A number from 0 up to, not including, 1. */
  fraction(): number;
}

/** What the lock on a data directory needs to know about processes. */
export interface Processes {
  /** This process. */
  readonly current: ProcessIdentity;
  /** Whether the very process that wrote `identity` still runs; a reused process number is not it. */
  isRunning(identity: ProcessIdentity): boolean;
}

export interface ProcessIdentity {
  readonly pid: number;
  /** What tells this process from another that later gets the same number: its start and the boot of the machine. */
  readonly startedAt: string;
  readonly host: string;
  readonly command: string;
}
