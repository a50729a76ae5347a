// What the process and its data directory take, at one moment.

import { type Dirent, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { EmbeddedBus, MixedLoad } from "./mixed-load.js";

export interface SoakSample {
  readonly second: number;
  /** Before garbage is collected. */
  readonly rssBytes: number;
  /** After garbage was collected, as the next two. */
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly arrayBufferBytes: number;
  /** Timers, files and sockets that keep the event loop alive. */
  readonly handles: number;
  /** Open file descriptors; where /proc is not there, 0. */
  readonly descriptors: number;
  readonly diskBytes: number;
  readonly published: number;
  readonly handled: number;
  /** Of one core, since the sample before. */
  readonly processorShare: number;
  readonly queues: number;
  readonly topics: number;
}

export class Sampler {
  readonly #directory: string;
  readonly #beganMs = performance.now();
  #processorUs = processorUs();
  #sampledMs = performance.now();

  constructor(directory: string) {
    this.#directory = directory;
  }

  take(bus: EmbeddedBus | undefined, load: MixedLoad | undefined): SoakSample {
    const nowMs = performance.now();
    const processorShare = this.#processorShare(nowMs);
    const rssBytes = process.memoryUsage.rss();
    globalThis.gc?.();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    const statistics = bus?.statistics();
    return {
      second: Math.round((nowMs - this.#beganMs) / 1000),
      rssBytes,
      heapBytes: heapUsed,
      externalBytes: external,
      arrayBufferBytes: arrayBuffers,
      handles: process.getActiveResourcesInfo().length,
      descriptors: descriptors(),
      diskBytes: sizeOf(this.#directory),
      published: load?.tally.published ?? 0,
      handled: load?.tally.handled ?? 0,
      processorShare,
      queues: statistics?.queues.length ?? 0,
      topics: statistics?.topics.length ?? 0,
    };
  }

  #processorShare(nowMs: number): number {
    const usedUs = processorUs();
    const share = (usedUs - this.#processorUs) / 1000 / Math.max(nowMs - this.#sampledMs, 1);
    this.#processorUs = usedUs;
    this.#sampledMs = nowMs;
    return Math.round(share * 1000) / 1000;
  }
}

function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function descriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

/** Of all files below the folder. Files and folders come and go meanwhile. */
function sizeOf(directory: string): number {
  let bytes = 0;
  for (const entry of entriesOf(directory)) {
    const path = join(directory, entry.name);
    bytes += entry.isDirectory() ? sizeOf(path) : (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
  }
  return bytes;
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}
