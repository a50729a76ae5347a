// What the package asks of who installs it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { read, root } from "./docs/markdown.js";

interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, { readonly default: string }>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
}

const manifest = JSON.parse(read("package.json")) as Manifest;

const IMPORT = /^(?:import\s+(?:[^"';]*?from\s+)?|export\s+[*{][^"';]*?from\s+)["']([^"']+)["']/gm;

/** Modules of our own that are loaded when they are needed. */
const OWN_IMPORT = /\bimport\(["'](\.[^"']+)["']\)/g;

/** The packages that the file, and what it loads of ours, cannot do without; a package that is loaded when it is needed does not count. */
function packagesOf(entry: string): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(path, "utf8");
    for (const [, name = ""] of [...text.matchAll(IMPORT), ...text.matchAll(OWN_IMPORT)]) {
      const parts = name.split("/");
      if (name.startsWith(".")) visit(join(dirname(path), name));
      else if (!isBuiltin(name)) packages.add(parts.slice(0, name.startsWith("@") ? 2 : 1).join("/"));
    }
  };
  visit(join(root, entry));
  return packages;
}

test("what applications import, and the command line, load nothing that is not installed with them", () => {
  for (const entry of [
    manifest.exports["."]!.default,
    manifest.exports["./testing"]!.default,
    manifest.bin["omnibus"]!,
  ]) {
    const missing = [...packagesOf(entry)].filter((name) => !(name in manifest.dependencies));
    assert.deepEqual(missing, [], entry);
  }
});

test("the command is there for npx, in a clone too", () => {
  const command = join(root, "node_modules", ".bin", "omnibus");
  assert.equal(execFileSync(command, ["--version"], { encoding: "utf8" }).trim(), manifest.version);
});

test("every other export loads nothing but that and optional peers", () => {
  for (const [name, { default: entry }] of Object.entries(manifest.exports)) {
    for (const needed of packagesOf(entry)) {
      if (needed in manifest.dependencies) continue;
      assert.ok(needed in manifest.peerDependencies, `${name} needs ${needed}`);
      assert.ok(manifest.peerDependenciesMeta[needed]?.optional, `${needed} is optional`);
    }
  }
  assert.deepEqual([...packagesOf(manifest.exports["./msgpack"]!.default)], ["@msgpack/msgpack"]);
});
