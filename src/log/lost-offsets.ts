// Offsets of a log that a repair gave up, kept beside its segments: nobody looks for their records any more.

import { BrokerError } from "../broker-error.js";
import type { Files } from "../io/io.js";
import { isMissing } from "./storage-errors.js";
import { writeFileWhole } from "./write-file.js";

/** Half-open ranges of offsets, in order. */
export type LostOffsets = readonly (readonly [start: number, end: number])[];

const NOTHING: LostOffsets = [];

/** Errors: LOG_CORRUPT when the file does not say what it should. */
export async function readLostOffsets(files: Files, logDirectory: string): Promise<LostOffsets> {
  const path = lostOffsetsPath(logDirectory);
  let text: string;
  try {
    text = (await files.readFile(path)).toString();
  } catch (error) {
    if (isMissing(error)) return NOTHING;
    throw error;
  }
  try {
    return (JSON.parse(text) as LostOffsets).map(([start, end]) => [start, end]);
  } catch (error) {
    throw new BrokerError("LOG_CORRUPT", `${path} does not list ranges of offsets.`, { path }, error);
  }
}

export async function writeLostOffsets(files: Files, logDirectory: string, lost: LostOffsets): Promise<void> {
  await writeFileWhole(files, lostOffsetsPath(logDirectory), Buffer.from(`${JSON.stringify(lost)}\n`));
  await files.syncDirectory(logDirectory);
}

function lostOffsetsPath(logDirectory: string): string {
  return `${logDirectory}/lost.json`;
}

export function isLost(lost: LostOffsets, offset: number): boolean {
  return lost.some(([start, end]) => start <= offset && offset < end);
}
