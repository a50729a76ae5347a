// Which TypeScript sources the project has, and which compiled files in dist/ belong to them.
// The compiler never deletes what it once wrote, so a renamed test would go on running without this.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** The folders that tsconfig.json compiles. */
const sourceFolders = ["src", "test", "bench", "examples"];

const outputEnding = /(\.js|\.js\.map|\.d\.ts)$/;

/** The files below `folder` (relative to the project) that `accepts` takes, as sorted paths with `/`. */
export function filesBelow(folder, accepts) {
  const absolute = join(root, folder);
  if (!existsSync(absolute)) return [];
  const found = [];
  const pending = [absolute];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== "node_modules") pending.push(path);
      } else if (accepts(entry.name)) {
        found.push(relative(root, path).split(sep).join("/"));
      }
    }
  }
  return found.sort();
}

/** Every source that the compiler reads. */
export function sourceFiles() {
  return sourceFolders.flatMap((folder) => filesBelow(folder, (name) => name.endsWith(".ts")));
}

/** Deletes the compiled files whose source is gone. Returns how many there were. */
export function removeStaleOutputs() {
  const outputs = sourceFolders.flatMap((folder) =>
    filesBelow(`dist/${folder}`, (name) => outputEnding.test(name)),
  );
  const stale = outputs.filter((path) => {
    const source = path.slice("dist/".length).replace(outputEnding, ".ts");
    return !existsSync(join(root, source));
  });
  for (const path of stale) rmSync(join(root, path));
  return stale.length;
}
