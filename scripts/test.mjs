// Runs the compiled unit tests with Node's own runner.
//
//   node scripts/test.mjs                          all of them
//   node scripts/test.mjs log/journal bus/         only the files whose path contains one of the words
//   node scripts/test.mjs --test-name-pattern=lease   options go to `node --test`

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { filesBelow, removeStaleOutputs, root } from "./build-outputs.mjs";

/** A test that hangs ends the run instead of holding it until somebody looks. */
const TIMEOUT_MS = 10 * 60_000;

const words = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const options = process.argv.slice(2).filter((argument) => argument.startsWith("-"));

removeStaleOutputs();
const files = filesBelow("dist/test", (name) => name.endsWith(".test.js")).filter(isChosen);
if (files.length === 0) {
  const why = words.length > 0 ? `No test file matches ${words.join(" ")}.` : "There are no compiled tests.";
  process.stderr.write(`${why} Tests are test/**/*.test.ts, compiled by: npm run build\n`);
  process.exit(1);
}

const runner = spawn(
  process.execPath,
  [
    "--enable-source-maps",
    "--test",
    "--test-reporter=spec",
    `--test-concurrency=${availableParallelism()}`,
    `--test-timeout=${TIMEOUT_MS}`,
    ...options,
    ...files,
  ],
  { cwd: root, stdio: "inherit" },
);
// A terminal's Ctrl-C reaches the runner too; waiting for it lets it print what it has.
process.on("SIGINT", () => {});
runner.on("exit", (code, signal) => {
  process.exitCode = signal === null ? (code ?? 1) : 1;
});

/** A word may be written as a source path, as an editor completes it. */
function isChosen(path) {
  if (words.length === 0) return true;
  const name = path.replace(/^dist\//, "").replace(/\.js$/, ".ts");
  return words.some((word) => name.includes(word.replace(/^\.\//, "")));
}
