// What the disk gives: the rate of sequential writes of 1 MiB, each made durable before the next.

import { randomFillSync } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

const CHUNK_BYTES = 1024 * 1024;
/** The file is begun again at this size, so that a fast disk is not filled. */
const FILE_BYTES = 1024 * CHUNK_BYTES;

/** Bytes per second of `write` and `fdatasync`, measured for `durationMs` in `directory`. Blocks; removes its file. */
export function measureDisk(directory: string, durationMs: number): number {
  const chunk = randomFillSync(Buffer.allocUnsafe(CHUNK_BYTES));
  const path = join(directory, "disk-baseline");
  const file = openSync(path, "w");
  try {
    const beganMs = performance.now();
    let written = 0;
    while (performance.now() - beganMs < durationMs) {
      writeSync(file, chunk, 0, CHUNK_BYTES, written % FILE_BYTES);
      fdatasyncSync(file);
      written += CHUNK_BYTES;
    }
    return (1000 * written) / (performance.now() - beganMs);
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
