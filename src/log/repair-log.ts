// Takes what is damaged out of one log, so that it can be opened, and writes down which offsets were given up.

import type { Files } from "../io/io.js";
import { readLostOffsets, writeLostOffsets } from "./lost-offsets.js";
import { segmentPath } from "./segment.js";
import type { VerifiedLog, VerifiedSegment } from "./verify-log.js";
import { removeIfThere, writeFileWhole } from "./write-file.js";

/** Copies every file of a folder of files, if there is one. */
export async function copyFolder(files: Files, from: string, to: string): Promise<void> {
  if (!(await files.exists(from))) return;
  await files.makeDirectory(to);
  for (const name of await files.list(from))
    await writeFileWhole(files, `${to}/${name}`, await files.readFile(`${from}/${name}`));
  await files.syncDirectory(to);
}

/** Durable when it resolves. Keep a copy of the folder before. */
export async function repairLog(files: Files, directory: string, verified: VerifiedLog): Promise<void> {
  await files.makeDirectory(directory);
  const given = await readLostOffsets(files, directory);
  // First of all: what is missing and not listed is a loss that nobody knows of.
  await writeLostOffsets(files, directory, sorted([...given, ...verified.lost]));
  for (const segment of verified.segments)
    if (segment.damages.length > 0) await cutOut(files, directory, segment);
  const continueAt = verified.continueAt ?? endOf(verified.segments.at(-1));
  if (continueAt !== undefined) await makeEmpty(files, directory, continueAt);
  await files.syncDirectory(directory);
}

async function cutOut(files: Files, directory: string, segment: VerifiedSegment): Promise<void> {
  const { path, baseOffset, damages } = segment;
  const bytes = await files.readFile(path);
  const pieces: Buffer[] = [];
  let at = 0;
  for (const { position, endPosition } of damages) {
    pieces.push(bytes.subarray(at, position));
    at = endPosition;
  }
  pieces.push(bytes.subarray(at));
  const withoutSuffix = segmentPath(directory, baseOffset);
  for (const suffix of ["index", "timeindex"]) await removeIfThere(files, `${withoutSuffix}.${suffix}`);
  await writeFileWhole(files, path, Buffer.concat(pieces));
}

/** Where a last segment with gaps ends: they may be in sealed segments only. */
function endOf(last: VerifiedSegment | undefined): number | undefined {
  if (last === undefined) return 0;
  const { damages, baseOffset, survey } = last;
  const isWhole = damages.length === 0 && survey.gaps.length === 0;
  return isWhole || survey.nextOffset === baseOffset ? undefined : survey.nextOffset;
}

async function makeEmpty(files: Files, directory: string, baseOffset: number): Promise<void> {
  await writeFileWhole(files, `${segmentPath(directory, baseOffset)}.log`, Buffer.alloc(0));
}

/** Ranges that touch or overlap become one. */
function sorted(ranges: readonly (readonly [number, number])[]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [start, end] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last === undefined || start > last[1]) merged.push([start, end]);
    else last[1] = Math.max(last[1], end);
  }
  return merged;
}
