#!/usr/bin/env node
// The process of the command `omnibus`: its streams and signals. What the commands do begins in program.ts.

import { createRequire } from "node:module";
import { systemIo } from "../io/system-io.js";
import { EXIT } from "./exit-codes.js";
import { runCommandLine } from "./program.js";
import { World } from "./world.js";

/** How long an interrupted command may take to come to an end. */
const END_WITHIN_MS = 10_000;

const interruption = new AbortController();
// The reader of a pipe left, as `head` does: nobody wants the rest.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failed);
});
process.stderr.on("error", () => {});

const world = new World({
  io: systemIo,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  signal: interruption.signal,
  onHangUp: (listener) => void process.on("SIGHUP", listener),
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interruption.signal.aborted) process.exit(EXIT.interrupted);
    interruption.abort();
    process.stdin.destroy();
    if (!world.endsByItself)
      systemIo.clock.setTimer(() => process.exit(EXIT.interrupted), END_WITHIN_MS, true);
  });
}
const { version } = createRequire(import.meta.url)("../../../package.json") as { version: string };
const exitCode = await runCommandLine(world, version, process.argv.slice(2));
await world.flush();
// Standard input that nobody reads any more, or a timer, must not hold a finished command.
process.stdout.write("", () => process.exit(exitCode));
