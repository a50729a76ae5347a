// What lies in deploy/, held against the program that it starts.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { systemIo } from "../../src/io/system-io.js";
import { OVERRIDES, readConfiguration } from "../../src/server/configuration.js";
import { plannedListeners } from "../../src/server/server-options.js";
import { cli } from "../cli/run-cli.js";
import { exists, read, root } from "../docs/markdown.js";

const unit = read("deploy/omnibus.service");
const image = read("deploy/Dockerfile");

/** The command lines of `omnibus` that a file has, without what is before and after. */
function commandLines(text: string): string[][] {
  return [...text.matchAll(/omnibus (serve\b[^\n`]*)/g)].map(([, line = ""]) => line.trim().split(/\s+/));
}

test("the example configuration is one, and is what is there without it", async () => {
  const read = (file: string | undefined) =>
    readConfiguration({ files: systemIo.files, environment: {}, file, flags: {} });
  const example = await read(`${root}/deploy/omnibus.yaml`);
  const { reloadable, log, shutdownWaitMs } = await read(undefined);
  assert.deepEqual(
    [example.reloadable, example.log, example.shutdownWaitMs],
    [reloadable, log, shutdownWaitMs],
  );
  assert.deepEqual(plannedListeners(example.listeners), plannedListeners({}));
});

test("what the example has in comments is a configuration too", async () => {
  const text = read("deploy/omnibus.yaml").replace(/^# (?=(?: +\S|users:|tls:))/gm, "");
  assert.match(text, /^users:\n {2}- name: operator/m);
  const { CONFIGURATION } = await import("../../src/server/configuration-schema.js");
  const { parse } = await import("yaml");
  const { safeParse } = await import("valibot");
  const hash = `$scrypt$32768$8$1$${"A".repeat(22)}$${"A".repeat(43)}`;
  const { issues } = safeParse(CONFIGURATION, parse(text.replaceAll("$scrypt$32768$8$1$...", hash)));
  assert.deepEqual(issues, undefined);
});

test("the unit starts and reloads what there is, and systemd finds nothing to object to", async (t) => {
  const { stdout: help } = await cli(["serve", "--help"]);
  for (const words of commandLines(unit))
    for (const word of words.filter((one) => one.startsWith("--"))) assert.ok(help.includes(word), word);
  const variables = [...unit.matchAll(/(OMNIBUS_\w+)=/g)].map(([, name]) => name);
  for (const name of variables)
    assert.ok(
      OVERRIDES.some(({ variable }) => variable === name),
      name,
    );
  assert.match(unit, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
  const { status, stderr, error } = spawnSync(
    "systemd-analyze",
    ["verify", `${root}/deploy/omnibus.service`],
    {
      encoding: "utf8",
    },
  );
  if (error !== undefined) return t.skip("systemd is not here");
  const complaints = stderr.split("\n").filter((line) => line !== "" && !line.includes("is not executable"));
  assert.deepEqual([complaints, status === 0 || stderr.includes("is not executable")], [[], true]);
});

test("the image copies what there is, says variables that there are, and starts the command", () => {
  for (const [, paths = ""] of image.matchAll(/^COPY (?!--from)(.+) \S+$/gm))
    for (const path of paths.split(" ")) assert.ok(exists(path), path);
  const variables = [...image.matchAll(/(OMNIBUS_\w+)=/g)].map(([, name]) => name!);
  assert.ok(variables.length > 4);
  for (const name of variables)
    assert.ok(name === "OMNIBUS_CONFIG" || OVERRIDES.some(({ variable }) => variable === name), name);
  assert.match(image, /^USER node$/m);
  assert.match(image, /ENTRYPOINT \["node", "\/opt\/omnibus\/dist\/src\/cli\/main\.js"\]/);
});
