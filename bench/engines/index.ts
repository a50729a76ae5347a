// Which engines the benchmark knows, in the order of its report.

import { bullmqAlways, bullmqEverysec } from "./bullmq.js";
import type { BenchEngine } from "./engine.js";
import { omnibus, omnibusMemoryJson, omnibusMemoryRaw } from "./omnibus.js";
import { sqlite } from "./sqlite.js";

/** Engines whose queues are on disk, measured side by side. */
export const durableEngines: readonly BenchEngine[] = [omnibus, bullmqAlways, bullmqEverysec, sqlite];

/** Engines that keep everything in memory, measured for what the bus itself costs. */
export const memoryEngines: readonly BenchEngine[] = [omnibusMemoryRaw, omnibusMemoryJson];

export function engineNamed(name: string): BenchEngine {
  const engine = [...durableEngines, ...memoryEngines].find((candidate) => candidate.name === name);
  if (engine === undefined) throw new Error(`there is no engine "${name}"`);
  return engine;
}
