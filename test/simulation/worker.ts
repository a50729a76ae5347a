// One thread of a simulation.

import { parentPort, workerData } from "node:worker_threads";
import { runShare, type Share } from "./run.js";

// Errors are a part of this world, and nobody reads where most of them come from.
Error.stackTraceLimit = 0;
await runShare(workerData as Share, (part) => parentPort!.postMessage(part));
