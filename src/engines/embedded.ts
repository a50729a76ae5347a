// The engine in the process itself: the broker on a data directory, or in memory.

import { Broker, type BrokerOptions } from "../broker/broker.js";
import { BrokerError } from "../broker-error.js";
import type { Io } from "../io/io.js";
import { MemoryFiles } from "../io/memory-files.js";
import { systemIo } from "../io/system-io.js";
import type { Durability } from "../log/log.js";
import { LogStore } from "../log/log-store.js";
import type { Capabilities, Engine, EngineFactory } from "./engine.js";

/** The embedded engine can do everything. */
export interface EmbeddedCapabilities extends Capabilities {
  readonly delay: true;
  readonly expiry: true;
  readonly orderByKey: true;
  readonly live: true;
  readonly browse: true;
  readonly exchanges: true;
  readonly priorities: true;
  readonly singleActiveConsumer: true;
  readonly consumerPriority: true;
  readonly balance: true;
  readonly assignment: true;
  readonly deduplication: true;
  readonly transactions: true;
  readonly pause: true;
  readonly replay: true;
  readonly temporaryQueues: true;
  readonly schedules: true;
  readonly forwards: true;
  readonly retained: true;
}

/** What the embedded engine can do. */
export const EMBEDDED_CAPABILITIES: EmbeddedCapabilities = {
  delay: true,
  expiry: true,
  orderByKey: true,
  live: true,
  browse: true,
  exchanges: true,
  priorities: true,
  singleActiveConsumer: true,
  consumerPriority: true,
  balance: true,
  assignment: true,
  deduplication: true,
  transactions: true,
  pause: true,
  replay: true,
  temporaryQueues: true,
  schedules: true,
  forwards: true,
  retained: true,
};

const DURABILITIES: readonly Durability[] = ["synced", "written", "memory"];

export interface EmbeddedOptions {
  /** Made when it is not there. One process at a time has it open; others may look on with `readOnly`. On a local disk. */
  readonly directory: string;
  /**
   * What a receipt means for everything declared without saying so: on disk, in the operating system's cache
   * (survives the process, not a power failure), or in memory.
   * @default "synced"
   */
  readonly durability?: Durability;
  /** Look only, beside the process that has the directory open: nothing is locked, written or consumed. @default false */
  readonly readOnly?: boolean;
  /** Recently stored messages kept in memory over all queues and topics, in bytes. @default 64 MiB */
  readonly cacheBytes?: number;
  /** Subjects that may have a retained message; each costs a few hundred bytes of memory. @default 100,000 */
  readonly retainedMax?: number;
  /** The world to run in: another disk, clock or randomness for tests. @default the real one */
  readonly io?: Io;
}

export type EmbeddedEngine = Engine<EmbeddedCapabilities>;

/**
 * An engine on a data directory. Errors: INVALID_OPTION; when opened, DATA_DIRECTORY_LOCKED, DATA_DIRECTORY_UNUSABLE,
 * FORMAT_UNSUPPORTED, LOG_CORRUPT.
 *
 * @example
 * const bus = await openBus(embedded({ directory: "./data", durability: "written" }));
 */
export function embedded(options: EmbeddedOptions): EngineFactory<EmbeddedCapabilities> {
  if (typeof options?.directory !== "string" || options.directory === "") {
    throw new BrokerError(
      "INVALID_OPTION",
      "The embedded engine needs a directory for its data, such as embedded({ directory: './data' }).",
      { option: "directory" },
    );
  }
  const { directory, durability = "synced", readOnly = false, cacheBytes, io = systemIo } = options;
  const { retainedMax } = options;
  if (!DURABILITIES.includes(durability)) throw invalid("durability", durability, DURABILITIES.join(", "));
  if (typeof readOnly !== "boolean") throw invalid("readOnly", readOnly, "true or false");
  if (cacheBytes !== undefined && !(Number.isSafeInteger(cacheBytes) && cacheBytes >= 0))
    throw invalid("cacheBytes", cacheBytes, "a whole number of bytes");
  if (retainedMax !== undefined && !(Number.isSafeInteger(retainedMax) && retainedMax >= 1))
    throw invalid("retainedMax", retainedMax, "a whole number of at least 1");
  return {
    async open(onError) {
      const store = await LogStore.open(io, directory, {
        readOnly,
        ...(cacheBytes === undefined ? {} : { tailCacheBytes: cacheBytes }),
      });
      return await openEngine("embedded", io, store, { durability, readOnly, retainedMax, onError });
    },
  };
}

/** An engine without a disk: what it holds is gone with the process. For tests, and for what may be lost. */
export function memory(options: { readonly io?: Io } = {}): EngineFactory<EmbeddedCapabilities> {
  return {
    async open(onError) {
      const io: Io = { ...(options.io ?? systemIo), files: new MemoryFiles() };
      const store = await LogStore.open(io, "/memory/data");
      return await openEngine("memory", io, store, { durability: "memory", readOnly: false, onError });
    },
  };
}

async function openEngine(
  name: string,
  io: Io,
  store: LogStore,
  options: BrokerOptions,
): Promise<EmbeddedEngine> {
  try {
    const broker = await Broker.open(io, store, options);
    const { clock, random } = io;
    return { name, capabilities: EMBEDDED_CAPABILITIES, clock, random, isReadOnly: options.readOnly, broker };
  } catch (error) {
    await store.close().catch(() => undefined);
    throw error;
  }
}

function invalid(option: string, value: unknown, wanted: string): BrokerError {
  const shown = typeof value === "string" ? `'${value}'` : String(value);
  return new BrokerError(
    "INVALID_OPTION",
    `The option ${option} of the embedded engine is ${shown}; give ${wanted}.`,
    { option, value: shown },
  );
}
