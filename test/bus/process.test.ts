// Which programs stay alive, and which end by themselves.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../support/temporary-directory.js";

const PROGRAM = fileURLToPath(new URL("process-program.js", import.meta.url));
const STRICT = ["--unhandled-rejections=strict", "--trace-warnings"];

interface Program {
  readonly child: ChildProcess;
  /** Resolves with what it wrote, once it has ended. */
  readonly ended: Promise<{ code: number | null; out: string; errors: string }>;
  /** Resolves when it has written "ready". */
  readonly ready: Promise<void>;
}

async function start(t: TestContext, does: string): Promise<Program> {
  const directory = await temporaryDirectory(t);
  const child = spawn(process.execPath, [...STRICT, PROGRAM, does, directory]);
  t.after(() => child.kill("SIGKILL"));
  let out = "";
  let errors = "";
  const ready = new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      if (out.includes("ready\n")) resolve();
    });
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, out, errors }));
  return { child, ended, ready };
}

for (const does of ["publishes", "closes its handler", "drains"]) {
  test(`a program that ${does} ends by itself, without close`, async (t) => {
    const program = await start(t, does);
    assert.deepEqual(await program.ended, { code: 0, out: "ready\n", errors: "" });
  });
}

test("a program whose only handler could not start ends by itself, after it was told", async (t) => {
  const program = await start(t, "fails to start a handler");
  const { code, out, errors } = await program.ended;
  assert.deepEqual({ code, out }, { code: 0, out: "ready\n" });
  assert.match(errors, /^omnibus: starting the handler of order\.placed: BrokerError: .*no\/name.*\n$/);
});

test("a program that waits for a batch is alive until the wait is over", async (t) => {
  const program = await start(t, "waits for a batch");
  assert.deepEqual(await program.ended, { code: 0, out: "0 came\nready\n", errors: "" });
});

for (const does of ["handles", "handles, after it has received", "listens", "receives", "watches"]) {
  test(`a program that ${does}, stays alive until it closes the bus, and ends then`, async (t) => {
    const program = await start(t, does);
    await program.ready;
    program.child.kill("SIGTERM");
    const { code, out, errors } = await program.ended;
    assert.deepEqual({ code, errors }, { code: 0, errors: "" });
    assert.match(out, /closed\n/);
  });
}
