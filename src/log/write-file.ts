// Writing all of something: a write may take fewer bytes than it was given.

import type { Files, OpenFile } from "../io/io.js";
import { isMissing } from "./storage-errors.js";

/** Writes all of `bytes` at `position`. */
export async function writeFully(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  let written = await file.write(bytes, position);
  while (written < bytes.length) {
    const more = await file.write(bytes.subarray(written), position + written);
    if (more <= 0) throw Object.assign(new Error(`${file.path} takes no more bytes`), { code: "EIO" });
    written += more;
  }
}

/**
 * Makes `path` a file with exactly these bytes, in one step and durably but for the entry in its folder. It appears
 * under its name only when it is complete.
 */
export async function writeFileWhole(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}${TEMPORARY_SUFFIX}`;
  await removeIfThere(files, temporary);
  const file = await files.open(temporary, "create");
  try {
    await writeFully(file, bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
}

export async function removeIfThere(files: Files, path: string): Promise<void> {
  try {
    await files.remove(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Ends the names of files that are not complete. Whatever opens a folder may remove them. */
export const TEMPORARY_SUFFIX = ".tmp";
