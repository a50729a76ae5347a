// Loads the peers that `bench/peers/install.mjs` installed. They are no dependencies of the package and may be absent,
// so adapters describe the little they use in interfaces of their own.

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the project; this module runs from `dist/bench/`. */
export const projectRoot = fileURLToPath(new URL("../../", import.meta.url));

const peersDirectory = join(projectRoot, "bench", "peers");

/** `Shape` is what the caller says the package exports; nothing checks it. */
export function loadPeer<Shape>(name: string): Shape {
  const requirePeer = createRequire(join(peersDirectory, "package.json"));
  return requirePeer(name) as Shape;
}

/** Installs what is missing; does nothing when all is there. Prints to standard error only. */
export function installPeers(): void {
  const installer = join(peersDirectory, "install.mjs");
  const { status } = spawnSync(process.execPath, [installer], { stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error("the peers could not be installed: see above");
}
