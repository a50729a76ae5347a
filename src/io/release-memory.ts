// Gives large memory back at once, instead of when garbage is collected next.

import { MessageChannel } from "node:worker_threads";

const { port1: nowhere, port2: other } = new MessageChannel();
other.close();

/** Small ones are given back together: so much, or so many. */
const GATHERED_BYTES = 32 * 1024;
const GATHERED_MAX = 64;

let gathered: ArrayBuffer[] = [];
let gatheredBytes = 0;

/**
 * Hot: empties `buffer`, now or soon, which has to be all of its memory: does nothing when it is a part of more. Nobody may
 * have a view of it that is looked at again. Transferring memory to a port that is closed is the one way to do that which
 * every supported version of Node has; it takes about a microsecond. Otherwise 64 MiB of what was read make V8 look through
 * its whole heap, although nothing else was allocated.
 */
export function releaseMemory(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (!(memory instanceof ArrayBuffer) || buffer.byteLength !== memory.byteLength) return;
  gathered.push(memory);
  gatheredBytes += memory.byteLength;
  if (gatheredBytes < GATHERED_BYTES && gathered.length < GATHERED_MAX) return;
  const all = gathered;
  gathered = [];
  gatheredBytes = 0;
  nowhere.postMessage(null, all);
}
