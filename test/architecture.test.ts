// The house as design and CONTRIBUTING.md draw it, held against the sources, and the checker itself against made-up ones.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { violations } from "./architecture/check.js";
import { linesMax } from "./architecture/rules.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

function check(path: string, text: string): string[] {
  return violations(new Map([[path, text]]));
}

test("the sources keep the rules of the house", () => {
  const paths = readdirSync(`${root}/src`, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => `src/${path.replaceAll("\\", "/")}`);
  const found = violations(new Map(paths.map((path) => [path, readFileSync(`${root}/${path}`, "utf8")])));
  assert.ok(paths.length > 0, "there are sources to check");
  assert.equal(found.length, 0, `\n${found.join("\n")}\n`);
});

test("an import against the direction is found, whatever its form", () => {
  const forms = [
    'import { Broker } from "../broker/broker.js";',
    'import type { Broker } from "../broker/broker.js";',
    'import {\n  type Broker,\n  open as start,\n} from "../broker/broker.js";',
    'import * as broker from "../broker/broker.js";',
    'import "../broker/broker.js";',
    'export { Broker } from "../broker/broker.js";',
    'export type * from "../broker/broker.js";',
    'const broker = await import("../broker/broker.js");',
    'type Broker = import("../broker/broker.js").Broker;',
    'const text = `${(await import("../broker/broker.js")).name}`;',
  ];
  for (const form of forms) {
    assert.deepEqual(
      check("src/log/log.ts", `\n${form}`).map((text) => text.replace(/:\d+:/, ":")),
      [
        "src/log/log.ts: imports src/broker/broker.ts (log imports only io, bytes, collections, broker-error)",
      ],
      form,
    );
  }
});

test("a violation names the file and the line", () => {
  const [found] = check("src/bytes/cursor.ts", '// One.\n\nimport { Io } from "../io/io.js";\n');
  assert.match(found ?? "", /^src\/bytes\/cursor\.ts:3: imports src\/io\/io\.ts \(/);
});

test("imports along the direction, of the room itself and of the error are allowed", () => {
  const text =
    'import a from "../log/log.js"; import b from "./queue.js"; import { BrokerError } from "../broker-error.js";';
  assert.deepEqual(check("src/broker/broker.ts", text), []);
  assert.deepEqual(check("src/index.ts", 'export { openBus } from "./bus/open-bus.js";'), []);
  assert.deepEqual(check("src/cli/commands/tail.ts", 'import { openBus } from "../../index.js";'), []);
});

test("an import in a comment, a string or a regular expression is none", () => {
  const text = `
    // import { Broker } from "../broker/broker.js";
    /* import "../broker/broker.js" */
    const said = 'import { Broker } from "../broker/broker.js"';
    const also = \`import "../broker/broker.js" \${1} import("../broker/broker.js")\`;
    const expression = /import "..\\/broker\\/broker.js"[/"]/;
    const quotient = 4 / 2; const after = "/"; const last = 1 / 3;
  `;
  assert.deepEqual(check("src/log/log.ts", text), []);
});

test("code after a division, a regular expression or a nested template is still read", () => {
  const text =
    'const a = b / c; const d = /"/; const e = `${`}`}`; const f = x ? /[/]`/ : `{`; setTimeout(g, 1);';
  assert.deepEqual(check("src/log/log.ts", text), [
    "src/log/log.ts:1: touches setTimeout (timers: only src/io/, src/cli/)",
  ]);
});

test("a computed import, the package's own name and a path out of src are refused", () => {
  for (const computed of ["name", '"./" + name', "`./${name}.js`"]) {
    assert.match(
      check("src/bus/bus.ts", `await import(${computed});`)[0] ?? "",
      /imports what is computed/,
      computed,
    );
  }
  assert.match(check("src/bus/bus.ts", 'import { event } from "omnibus";')[0] ?? "", /imports "omnibus"/);
  assert.match(check("src/bus/bus.ts", 'import "../../test/a.js";')[0] ?? "", /imports test\/a\.ts/);
});

test("a folder without a row in the table is refused", () => {
  assert.match(check("src/helpers/strings.ts", "")[0] ?? "", /helpers is no room of the house/);
});

test("one protocol never imports another, nor a socket outside of its connection", () => {
  const found = check(
    "src/protocols/nats/handlers/pub.ts",
    'import "../../mqtt/wire/frame.js"; import "node:net";',
  );
  assert.equal(found.length, 2);
  assert.match(found[0] ?? "", /imports src\/protocols\/mqtt\/wire\/frame\.ts .*never imports another/);
  assert.match(
    found[1] ?? "",
    /touches node:net \(sockets: only src\/server\/, src\/protocols\/\*\/connection\.ts\)/,
  );
  const allowed = 'import net from "node:net"; import "./wire/frame.js"; import "../../broker/broker.js";';
  assert.deepEqual(check("src/protocols/nats/connection.ts", allowed), []);
});

test("files, time, timers, randomness and processes are reached through io alone", () => {
  const uses = [
    'import fs from "node:fs";',
    'import { readFile } from "node:fs/promises";',
    'import os from "os";',
    'import { spawn } from "node:child_process";',
    'import { randomUUID } from "node:crypto";',
    'import { setTimeout as pause } from "node:timers/promises";',
    "Date.now()",
    "new Date()",
    "new Date",
    "performance.now()",
    "setTimeout(run, 5)",
    "setInterval(run, 5)",
    "setImmediate(run)",
    "AbortSignal.timeout(5)",
    "Math.random()",
    "crypto.getRandomValues(array)",
    "process.pid",
    "process.hrtime.bigint()",
    "`${process.env.HOME}`",
  ];
  for (const use of uses) {
    assert.ok(check("src/broker/broker.ts", use).length > 0, use);
    assert.deepEqual(check("src/io/system-io.ts", use), [], use);
  }
});

test("pure uses of the same modules and types are allowed", () => {
  const text = `
    import { createHash } from "node:crypto";
    import { gunzipSync } from "node:zlib";
    const shown = new Date(timestampMs).toISOString();
    const parsed = new Date("2026-11-01");
    "Date.now() and setTimeout"; // process.pid
  `;
  assert.deepEqual(check("src/broker/broker.ts", text), []);
});

test("the command line has a terminal, a child process and timers, but no files", () => {
  const text = 'import { spawn } from "node:child_process"; process.stdout.write("x"); setTimeout(run, 5);';
  assert.deepEqual(check("src/cli/main.ts", text), []);
  assert.equal(check("src/cli/main.ts", 'import fs from "node:fs";').length, 1);
});

test("the core names no protocol, in code, strings, names of files or comments", () => {
  for (const text of [
    "const kafkaOffset = 1;",
    'const a = "nats";',
    "// As in AMQP 0-9-1.",
    "toRabbit();",
    "MQTT_LEVEL;",
  ]) {
    assert.equal(check("src/broker/queue.ts", text).length, 1, text);
    assert.equal(check("src/protocols/amqp/errors.ts", text).length, 0, text);
  }
  assert.equal(check("src/log/kafka-format.ts", "").length, 1);
  assert.deepEqual(check("src/broker/queue.ts", "const donations = 1; const redistribute = 2;"), []);
});

test("only a comment of the log may say which protocol a format comes from", () => {
  const comment = "/**\n * Record batch, Kafka's format v2.\n */\nconst MAGIC = 2;\n";
  assert.deepEqual(check("src/log/record-batch.ts", comment), []);
  assert.deepEqual(
    check("src/log/record-batch.ts", "// Laid out as in the record batch\n// of Kafka.\n"),
    [],
  );
  assert.equal(check("src/broker/queue.ts", comment).length, 1);
  assert.equal(check("src/log/record-batch.ts", "// Kafka does this too.\n").length, 1);
});

test("a file that is too long is named", () => {
  assert.deepEqual(check("src/log/log.ts", "a;\n".repeat(linesMax)), []);
  const [found] = check("src/log/log.ts", "a;\n".repeat(linesMax + 1));
  assert.match(found ?? "", /^src\/log\/log\.ts:501: has 501 lines/);
});

test("a cycle between files is found once, types included", () => {
  const found = violations(
    new Map([
      ["src/log/a.ts", 'import { b } from "./b.js";'],
      ["src/log/b.ts", '\nimport { c } from "./c.js";'],
      ["src/log/c.ts", '\n\nimport type { a } from "./a.js";'],
      ["src/log/d.ts", 'import "./a.js"; import "./b.js";'],
    ]),
  );
  assert.deepEqual(found, [
    "src/log/c.ts:3: closes src/log/a.ts -> src/log/b.ts -> src/log/c.ts -> src/log/a.ts (no cycle between files)",
  ]);
});
