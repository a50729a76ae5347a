// What lies in a data directory beside the logs: its format, and what a closed store leaves for the next open.

import { BrokerError } from "../broker-error.js";
import { crc32c } from "../bytes/crc32c.js";
import type { Files } from "../io/io.js";
import { isMissing } from "./storage-errors.js";
import { removeIfThere, writeFileWhole } from "./write-file.js";

const FORMAT = "omnibus";
const FORMAT_VERSION = 1;

/** How far the active segment of a log was committed and synced at a checkpoint. */
export interface RecoveryPoint {
  readonly segmentBase: number;
  readonly sizeBytes: number;
  readonly nextOffset: number;
}

export function formatPath(directory: string): string {
  return `${directory}/format.json`;
}

/** FORMAT_UNSUPPORTED when the directory was written by a later version; false when it says nothing yet. */
export async function checkFormat(files: Files, directory: string): Promise<boolean> {
  const path = formatPath(directory);
  const bytes = await readIfThere(files, path);
  if (bytes === undefined) return false;
  const found = parseObject(bytes.toString());
  if (found?.["format"] === FORMAT && found["version"] === FORMAT_VERSION) return true;
  throw new BrokerError(
    "FORMAT_UNSUPPORTED",
    `${path} does not say that this is a data directory in format ${FORMAT} ${FORMAT_VERSION}. It was written by another version of Omnibus, or by something else.`,
    { path, expected: `${FORMAT} ${FORMAT_VERSION}`, found: `${found?.["format"]} ${found?.["version"]}` },
  );
}

export async function writeFormat(files: Files, directory: string): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, version: FORMAT_VERSION })}\n`;
  await writeFileWhole(files, formatPath(directory), Buffer.from(text));
}

/** The recovery points of a directory; none when there are none, or they cannot be relied on. */
export async function readCheckpoint(files: Files, directory: string): Promise<Map<string, RecoveryPoint>> {
  const points = new Map<string, RecoveryPoint>();
  const text = (await readIfThere(files, checkpointPath(directory)))?.toString() ?? "";
  const [checksum, json] = text.split("\n", 2);
  if (json === undefined || checksum !== checksumOf(json)) return points;
  for (const [name, point] of Object.entries(parseObject(json) ?? {})) {
    const [segmentBase, sizeBytes, nextOffset] = point as [number, number, number];
    points.set(name, { segmentBase, sizeBytes, nextOffset });
  }
  return points;
}

/** Two lines: the CRC-32C of the second, and an object of `[segment base, size, next offset]` by log. */
export async function writeCheckpoint(
  files: Files,
  directory: string,
  points: ReadonlyMap<string, RecoveryPoint>,
): Promise<void> {
  const entries = [...points].map(([name, { segmentBase, sizeBytes, nextOffset }]) => {
    return [name, [segmentBase, sizeBytes, nextOffset]];
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  await writeFileWhole(files, checkpointPath(directory), Buffer.from(`${checksumOf(json)}\n${json}\n`));
  await files.syncDirectory(directory);
}

/** Without it, the next open reads every last segment whole. */
export async function removeCheckpoint(files: Files, directory: string): Promise<void> {
  await removeIfThere(files, checkpointPath(directory));
  await files.syncDirectory(directory);
}

function checkpointPath(directory: string): string {
  return `${directory}/checkpoint`;
}

function checksumOf(json: string): string {
  return crc32c(Buffer.from(json)).toString(16).padStart(8, "0");
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

async function readIfThere(files: Files, path: string): Promise<Buffer | undefined> {
  try {
    return await files.readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
