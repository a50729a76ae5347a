// Installs the peers of the benchmark beside this file, once per lock file and Node version. better-sqlite3 is native:
// its installer first tries to download a binary and then compiles, against the headers that came with this Node when
// there are any, so that no download is needed. Prints to standard error only.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const directory = dirname(fileURLToPath(import.meta.url));
const stampFile = join(directory, "node_modules", ".installed-for");
const stamp = createHash("sha256")
  .update(readFileSync(join(directory, "package-lock.json")))
  .update(`${process.version} ${process.platform} ${process.arch}`)
  .digest("hex");

function isInstalled() {
  return existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp;
}

/** Where node-gyp finds `include/node/node.h` without a download, or nothing. */
function headersDirectory() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, "include", "node", "node.h")) ? prefix : undefined;
}

function run(command, args, environment) {
  const { status, error } = spawnSync(command, args, {
    cwd: directory,
    stdio: ["ignore", 2, 2],
    env: environment,
    shell: process.platform === "win32",
  });
  if (error !== undefined) process.stderr.write(`${command}: ${error.message}\n`);
  return status === 0;
}

function install() {
  process.stderr.write("Installing the benchmark's peers; compiling SQLite takes a minute or two.\n");
  const headers = headersDirectory();
  const environment = headers === undefined ? process.env : { ...process.env, npm_config_nodedir: headers };
  if (!run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], environment)) {
    return "npm ci failed; better-sqlite3 needs a C++ compiler, make and python3 where no binary can be downloaded";
  }
  const proof = 'new (require("better-sqlite3"))(":memory:").close(); require("bullmq"); require("ioredis")';
  if (!run(process.execPath, ["-e", proof], process.env)) return "the installed peers cannot be loaded";
  writeFileSync(stampFile, stamp);
  return undefined;
}

if (!isInstalled()) {
  const failure = install();
  if (failure !== undefined) {
    process.stderr.write(`bench/peers: ${failure}\n`);
    process.exitCode = 1;
  }
}
