import assert from "node:assert/strict";
import { test } from "node:test";
import { cli } from "./run-cli.js";

const COMMANDS = [
  "serve",
  "hash-password",
  "demo",
  "queues",
  "topics",
  "top",
  "send",
  "publish",
  "tail",
  "dead",
  "dead list",
  "dead show",
  "dead replay",
  "dead discard",
  "groups",
  "bindings",
  "pause",
  "resume",
  "purge",
  "replay",
  "delete",
  "schedule",
  "schedule list",
  "schedule add",
  "schedule pause",
  "schedule resume",
  "schedule remove",
];

test("the help of every command says what it is for and shows examples", async () => {
  const helps = await Promise.all(COMMANDS.map((name) => cli([...name.split(" "), "--help"])));
  for (const [index, { code, stdout, stderr }] of helps.entries()) {
    const name = COMMANDS[index]!;
    assert.deepEqual([code, stderr], [0, ""], name);
    assert.match(stdout, new RegExp(`^Usage: omnibus ${name} `), name);
    const examples = stdout.split("Examples:\n")[1] ?? "";
    assert.ok(examples.split(/^ {2}# /m).length - 1 >= 2, `${name} has two examples or more`);
    assert.match(stdout, /--data <dir>/, name);
  }
});

test("the help of the program lists the commands and the exit codes", async () => {
  const { stdout } = await cli(["--help"]);
  for (const name of ["serve", "demo", "queues", "topics", "top", "send", "publish", "tail", "dead"])
    assert.match(stdout, new RegExp(`^  ${name} `, "m"));
  assert.match(stdout, /Exit codes:\n(.*\n)+.*130 {2}interrupted/);
});

test("without a command the help is shown and the exit code is 2", async () => {
  const { code, stdout, stderr } = await cli([]);
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^Usage: omnibus/);
});

test("--version prints the version alone", async () => {
  const { code, stdout } = await cli(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test("nothing is coloured where nobody looks, unless it is forced", async () => {
  const plain = await cli(["queues", "--data", "/nowhere"]);
  assert.equal(plain.stderr.includes("\u001b["), false);
  const forced = await cli(["queues", "--data", "/nowhere"], { environment: { FORCE_COLOR: "1" } });
  assert.equal(forced.stderr.includes("\u001b["), true);
  const refused = await cli(["queues", "--data", "/nowhere"], {
    environment: { FORCE_COLOR: "1", NO_COLOR: "1" },
  });
  assert.equal(refused.stderr.includes("\u001b["), false);
});

test("a stack is printed only when it is asked for", async () => {
  const quiet = await cli(["queues", "--data", "/nowhere"]);
  assert.equal(quiet.stderr.split("\n").length, 3);
  const loud = await cli(["queues", "--data", "/nowhere", "--debug"]);
  assert.match(loud.stderr, /\n {4}at /);
  const also = await cli(["queues", "--data", "/nowhere"], { environment: { OMNIBUS_DEBUG: "1" } });
  assert.match(also.stderr, /\n {4}at /);
});
