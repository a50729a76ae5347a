// Load clients in Go, in `bench/clients`: built when a benchmark first needs them, and asked for one measurement at a time.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { endWithUs } from "./child.js";
import { projectRoot } from "./peers.js";

const HOW_TO_INSTALL =
  "Go was not found, and the load clients are written in it: see https://go.dev/doc/install";

/** Compiles `bench/clients/<name>` and returns the path of the program. Does nothing when it is fresh: Go knows. */
export function buildClient(name: string): string {
  const output = join(projectRoot, ".cache", "bench", "clients", name);
  mkdirSync(join(output, ".."), { recursive: true });
  const { status, error } = spawnSync("go", ["build", "-o", output, "."], {
    cwd: join(projectRoot, "bench", "clients", name),
    stdio: ["ignore", 2, 2],
  });
  if (error !== undefined) throw new Error(HOW_TO_INSTALL);
  if (status !== 0) throw new Error(`the load client ${name} does not compile: see above`);
  return output;
}

/** Runs the client to its end, and resolves with the one JSON object that it prints. */
export function askClient<Answer>(program: string, options: readonly string[]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = endWithUs(spawn(program, options, { stdio: ["ignore", "pipe", "pipe"] }));
    let output = "";
    let complaints = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      complaints += chunk.toString();
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(JSON.parse(output) as Answer);
      else reject(new Error(complaints.trim() || `the load client ended with code ${code}`));
    });
  });
}
