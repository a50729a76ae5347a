// Which engines the benchmark knows, in the order of its report.

import { bullmqAlways, bullmqEverysec } from "./bullmq.js";
import type { BenchEngine } from "./engine.js";
import { sqlite } from "./sqlite.js";

export const durableEngines: readonly BenchEngine[] = [bullmqAlways, bullmqEverysec, sqlite];
