// Passwords that are typed: not shown, corrected, ended with Enter; or from a pipe.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SecretInput } from "../../src/cli/secret.js";
import { World } from "../../src/cli/world.js";
import { systemIo } from "../../src/io/system-io.js";

function inputOf(chunks: readonly string[], isTTY: boolean) {
  const shown: string[] = [];
  const modes: boolean[] = [];
  async function* typed(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  const setRawMode = (isRaw: boolean) => modes.push(isRaw);
  const output = {
    write: (text: string | Uint8Array) => shown.push(String(text)) > 0,
    once: () => undefined,
  };
  const world = new World({
    io: systemIo,
    stdin: Object.assign(typed(), isTTY ? { isTTY, setRawMode } : {}),
    stdout: output,
    stderr: output,
    environment: {},
    signal: new AbortController().signal,
    onHangUp: () => undefined,
  });
  return { input: new SecretInput(world), shown, modes };
}

test("a password that is typed is asked for, not shown, and ends with Enter", async () => {
  const { input, shown, modes } = inputOf(["s", "3", "cr", "et\r", "again\r"], true);
  assert.equal(await input.readLine("Password: "), "s3cret");
  assert.equal(await input.readLine("Again: "), "again");
  assert.deepEqual(shown, ["Password: ", "\n", "Again: ", "\n"]);
  assert.deepEqual(modes, [true, false, true, false]);
});

test("backspace takes back a character, of however many bytes", async () => {
  const { input } = inputOf(["\u007fab\u007f", "é\u0008", "€\u007fc\r"], true);
  assert.equal(await input.readLine("Password: "), "ac");
});

test("from a pipe it is the first line, or all there is, and nothing is asked or special", async () => {
  const piped = inputOf(["s3cr", "et\nmore\n"], false);
  assert.equal(await piped.input.readLine("Password: "), "s3cret");
  assert.deepEqual(piped.shown, []);
  assert.equal(await inputOf(["a\u007fb"], false).input.readLine("Password: "), "a\u007fb");
  assert.equal(await inputOf([], false).input.readLine("Password: "), "");
});
