// A machine with a simulated disk and a virtual clock, on which brokers are opened, closed, killed and opened again.

import { Broker } from "../../src/broker/broker.js";
import { type MessageProperties, type OutgoingMessage, withProperties } from "../../src/broker/message.js";
import type { Clock, Files, Io } from "../../src/io/io.js";
import type { Durability } from "../../src/log/log.js";
import { LogStore } from "../../src/log/log-store.js";
import { encodeHeaders } from "../../src/log/record-headers.js";
import { VirtualClock } from "../../src/testing/virtual-clock.js";
import { SeededRandom } from "./seeded-random.js";
import { SimulatedDisk } from "./simulated-disk.js";

export const START_MS = 1_000_000;
const DIRECTORY = "data";
const JOURNAL_BYTES = 256 * 1024;
/** Turns after which nothing goes on any more, as long as nothing new is asked for. */
const QUIET_TURNS = 25;

export interface Reported {
  readonly error: unknown;
  readonly where: string;
}

export interface WorldOptions {
  readonly durability?: Durability;
  readonly readOnly?: boolean;
  /** Of recent messages in memory. Few, and everything is read from disk. */
  readonly tailCacheBytes?: number;
  readonly retainedMax?: number;
}

export class BrokerWorld {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  disk: SimulatedDisk;
  /** What brokers told nobody else. */
  readonly reported: Reported[] = [];
  #process = 0;
  #isAlive = false;
  /** How far the wall clock is ahead of the virtual one. */
  #jumpedMs = 0;
  readonly #clocks: ProcessClock[] = [];

  constructor(seed = 1) {
    this.clock = new VirtualClock(START_MS);
    this.random = new SeededRandom(seed);
    this.disk = new SimulatedDisk(this.random, queueMicrotask);
  }

  /** Opens a broker in a process of its own. */
  async open(options: WorldOptions = {}): Promise<Broker> {
    return (await this.openStore(options)).broker;
  }

  async openStore(options: WorldOptions = {}): Promise<{ broker: Broker; store: LogStore }> {
    const { durability = "synced", readOnly = false, tailCacheBytes, retainedMax } = options;
    const io = this.io();
    const store = await LogStore.open(io, DIRECTORY, {
      readOnly,
      journalBytes: JOURNAL_BYTES,
      ...(tailCacheBytes === undefined ? {} : { tailCacheBytes }),
    });
    const onError = (error: unknown, where: string): void => {
      if (this.#clocks.at(-1)?.isOn) this.reported.push({ error, where });
    };
    const broker = await Broker.open(io, store, { durability, readOnly, retainedMax, onError });
    return { broker, store };
  }

  /** The disk does so many more things, and nothing after that: a crash that comes in the middle of others. */
  stopDiskAfter(operations: number): void {
    let left = operations;
    this.disk.onOperation = () => {
      left -= 1;
      if (left < 0) this.disk.turnOff();
      return undefined;
    };
  }

  /** The process is gone at this moment, and with `power` the machine. Nothing of it goes on. */
  crash(power = false): void {
    for (const clock of this.#clocks) clock.isOn = false;
    this.#isAlive = false;
    this.disk = this.disk.afterCrash(power, queueMicrotask);
  }

  /** Resolves when nothing goes on that does not wait for time to pass. */
  async quiet(): Promise<void> {
    await this.turns(QUIET_TURNS);
  }

  /** Resolves after so many turns of the event loop. */
  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets time pass: what is due meanwhile happens. */
  async pass(durationMs: number): Promise<void> {
    await this.quiet();
    await this.clock.advance(durationMs, () => this.quiet());
    await this.quiet();
  }

  /** Somebody sets the wall clock. */
  jumpWallClock(byMs: number): void {
    this.#jumpedMs += byMs;
  }

  /** The world of a process that begins now. */
  io(): Io {
    this.#process += 1;
    this.#isAlive = true;
    const pid = this.#process;
    const clock = new ProcessClock(this.clock, () => this.#jumpedMs);
    this.#clocks.push(clock);
    return {
      files: this.disk satisfies Files,
      clock,
      random: this.random,
      processes: {
        current: { pid, startedAt: String(pid), host: "here", command: "test" },
        isRunning: (asked) => this.#isAlive && asked.pid === this.#process,
      },
    };
  }
}

/** The clock as one process sees it: after its end none of its actions runs. */
class ProcessClock implements Clock {
  isOn = true;
  readonly #clock: VirtualClock;
  readonly #jumpedMs: () => number;

  constructor(clock: VirtualClock, jumpedMs: () => number) {
    this.#clock = clock;
    this.#jumpedMs = jumpedMs;
  }

  nowMs(): number {
    return this.#clock.nowMs() + this.#jumpedMs();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  setTimer(action: () => void, delayMs: number) {
    return this.#clock.setTimer(() => this.#run(action), delayMs);
  }

  defer(action: () => void): void {
    this.#clock.defer(() => this.#run(action));
  }

  #run(action: () => void): void {
    if (this.isOn) action();
  }
}

/** A message as a publisher would make it. */
export function message(
  value: string | null,
  options: MessageProperties & { subject?: string; key?: string | null; timestampMs?: number } = {},
): OutgoingMessage {
  const { subject = "test", key = null, timestampMs = START_MS, ...properties } = options;
  const base = encodeHeaders([["omnibus-subject", subject]]);
  const headers = withProperties(base, properties);
  const { id, priority, expiresAtMs = 0 } = properties;
  return { subject, key, value, headers, expiresAtMs, timestampMs, id, priority };
}
