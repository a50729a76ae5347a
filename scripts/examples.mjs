// Runs every example as a user would: in a process of its own, in an empty folder, against a time limit.
//
//   node scripts/examples.mjs            all of them
//   node scripts/examples.mjs lanes      only those whose name contains one of the words

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./build-outputs.mjs";

const TIME_LIMIT_MS = 60_000;

/** How much of a failed example's output is shown: its end. */
const SHOWN_CHARACTERS = 10_000;

const words = process.argv.slice(2);
const folder = join(root, "examples");
if (!existsSync(folder)) {
  process.stdout.write("There is no examples folder.\n");
  process.exit(0);
}
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
  .sort();
if (names.length === 0) {
  process.stderr.write("No example matches.\n");
  process.exit(1);
}

const width = Math.max(...names.map((name) => name.length));
let failures = 0;
for (const name of names) {
  const { reason, seconds, output } = await run(name);
  const result = reason === undefined ? "ok" : "FAILED";
  process.stdout.write(`${name.padEnd(width)}  ${result.padEnd(6)}  ${seconds.toFixed(1).padStart(5)} s\n`);
  if (reason === undefined) continue;
  failures += 1;
  process.stdout.write(`\n${output.slice(-SHOWN_CHARACTERS)}\n${name} ${reason}.\n\n`);
}
process.stdout.write(`${names.length - failures} passed, ${failures} failed\n`);
process.exitCode = failures === 0 ? 0 : 1;

/** Runs one example. `reason` says why it failed and is undefined when it passed. */
async function run(name) {
  const script = join(root, "dist", "examples", `${name}.js`);
  if (!existsSync(script)) return { reason: "is not compiled: npm run build", seconds: 0, output: "" };
  const directory = mkdtempSync(join(tmpdir(), `omnibus-example-${name}-`));
  const beganMs = performance.now();
  try {
    const { reason, output } = await runProcess(script, directory);
    return { reason, seconds: (performance.now() - beganMs) / 1000, output };
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

function runProcess(script, directory) {
  return new Promise((resolve) => {
    // A group of its own, so that what an example starts ends with it.
    const child = spawn(process.execPath, ["--enable-source-maps", script], {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
      detached: process.platform !== "win32",
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    }
    let isLate = false;
    const limit = setTimeout(() => {
      isLate = true;
      endGroup(child);
    }, TIME_LIMIT_MS);
    child.on("error", (error) => {
      output += `${error.stack}\n`;
    });
    child.on("close", (code, signal) => {
      clearTimeout(limit);
      resolve({ reason: reasonOf(code, signal, isLate), output });
    });
  });
}

function endGroup(child) {
  try {
    if (process.platform === "win32") child.kill("SIGKILL");
    else process.kill(-child.pid, "SIGKILL");
  } catch {
    // It ended between the time limit and this line.
  }
}

function reasonOf(code, signal, isLate) {
  if (isLate) return `did not end within ${TIME_LIMIT_MS / 1000} s`;
  if (code === 0) return undefined;
  return signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
}
