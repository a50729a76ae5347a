// Brings a clone to the state that the other scripts need: dependencies installed, sources compiled.
// Plain Node without a dependency, because it runs before there are any. When all is fresh it only compares times.
//
//   node scripts/setup.mjs            the project
//   node scripts/setup.mjs --bench    also the peers that the benchmarks compare with, in bench/peers

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { removeStaleOutputs, root, sourceFiles } from "./build-outputs.mjs";

const OLDEST_NODE = [20, 19];

/** Holds the list of sources of the last build that passed; its time is when that build began. */
const buildStamp = join(root, "dist", ".built");

requireNode();
installDependencies();
compile();
linkCommand(join(root, "dist", "src", "cli", "main.js"));
if (process.argv.includes("--bench")) installPeers();

function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const isOldEnough = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  if (isOldEnough) return;
  fail(`Omnibus needs Node ${OLDEST_NODE.join(".")} or later, and this is Node ${process.versions.node}.`);
}

/** `npm ci`, when what is installed is missing or older than the lock file. */
function installDependencies() {
  const installedMs = modifiedMs(join(root, "node_modules", ".package-lock.json"));
  if (installedMs >= modifiedMs(join(root, "package-lock.json"))) return;
  const result = timed("Installing dependencies (npm ci)", () =>
    spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: root,
      encoding: "utf8",
      shell: process.platform === "win32",
    }),
  );
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  fail(`npm ci failed in ${root}${result.error ? `: ${result.error.message}` : "."}`);
}

/** The peers have a lock file and an installer of their own: they are no dependency of the package. */
function installPeers() {
  const installer = join(root, "bench", "peers", "install.mjs");
  if (!existsSync(installer)) return;
  const { status } = spawnSync(process.execPath, [installer], { stdio: "inherit" });
  if (status !== 0) fail("The systems to compare with could not be installed.");
}

/** Compiles when a source is newer than the last build that passed, or was added or removed since. */
function compile() {
  const sources = sourceFiles();
  const list = `${sources.join("\n")}\n`;
  const inputs = [...sources, "tsconfig.json", "package.json", "package-lock.json"];
  const builtMs = modifiedMs(buildStamp);
  const isFresh =
    builtMs > 0 &&
    readFileSync(buildStamp, "utf8") === list &&
    inputs.every((path) => modifiedMs(join(root, path)) <= builtMs);
  if (isFresh) return;

  const began = new Date();
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const result = timed("Compiling", () =>
    spawnSync(process.execPath, [compiler, "-p", "tsconfig.json"], { cwd: root, encoding: "utf8" }),
  );
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
    fail("The sources do not compile.");
  }
  removeStaleOutputs();
  mkdirSync(join(root, "dist"), { recursive: true });
  writeFileSync(buildStamp, list);
  utimesSync(buildStamp, began, began);
}

/** `npx omnibus` in a clone runs what was compiled: npm links the commands of dependencies, and not those of the project. */
function linkCommand(program) {
  if (!existsSync(program)) return;
  if ((statSync(program).mode & 0o111) !== 0o111) chmodSync(program, 0o755);
  const link = join(root, "node_modules", ".bin", "omnibus");
  if (process.platform === "win32") writeFileSync(`${link}.cmd`, `@node "${program}" %*\r\n`);
  else if (!existsSync(link)) symlinkSync(relative(dirname(link), program), link);
}

/** When the file was last changed; 0 when there is none. */
function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Says on standard error what runs, and how long it took. Standard output stays clean for what comes after. */
function timed(title, action) {
  process.stderr.write(`${title} ... `);
  const beganMs = performance.now();
  const result = action();
  process.stderr.write(`${((performance.now() - beganMs) / 1000).toFixed(1)} s\n`);
  return result;
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
