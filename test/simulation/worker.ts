// One thread of a simulation.

import { parentPort, workerData } from "node:worker_threads";
import { runShare, type Share } from "./run.js";

await runShare(workerData as Share, (part) => parentPort!.postMessage(part));
