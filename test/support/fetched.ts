// What tests fetch or build once and keep in the project's `.cache/` folder.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unavailable } from "./requires.js";

/** The project's folder. */
export const root = fileURLToPath(new URL("../../../", import.meta.url));

/**
 * The folder with what `make` puts into an empty one, made again when a file of `sources` (a folder, its subfolders
 * included) has changed. Where it cannot be made: the reason, or an error on CI.
 */
export async function fetched(
  name: string,
  sources: string,
  make: (folder: string) => void | Promise<void>,
): Promise<{ readonly folder: string } | { readonly missing: string }> {
  const folder = join(root, ".cache", `${name}-${versionOf(sources)}`);
  if (existsSync(folder)) return { folder };
  mkdirSync(join(root, ".cache"), { recursive: true });
  const incomplete = mkdtempSync(`${folder}.`);
  try {
    await make(incomplete);
  } catch (error) {
    rmSync(incomplete, { recursive: true });
    return { missing: unavailable(`${name} could not be made: ${String(error)}`) };
  }
  putInPlace(incomplete, folder);
  return { folder };
}

function versionOf(sources: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(sources, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes("node_modules"))
    .map((entry) => join(entry.parentPath, entry.name));
  for (const path of files.sort()) hash.update(path.slice(sources.length)).update(readFileSync(path));
  return hash.digest("hex").slice(0, 12);
}

/** Another test file may have made the same at the same time: who comes second keeps what the first has put there. */
function putInPlace(made: string, folder: string): void {
  try {
    renameSync(made, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    rmSync(made, { recursive: true });
  }
}
