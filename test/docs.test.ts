// The documentation, held against the project that it describes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { QUEUE_DEFAULTS, SUBSCRIPTION_DEFAULTS, TOPIC_DEFAULTS, UNLIMITED } from "../src/broker/limits.js";
import { toMs } from "../src/bus/duration.js";
import type { AnyHandlerOptions } from "../src/bus/handler.js";
import { HandlerSettings } from "../src/bus/handler-settings.js";
import { memory } from "../src/index.js";
import { mayImport } from "./architecture/rules.js";
import {
  allPages,
  codeBlocks,
  exists,
  linkFault,
  namedPaths,
  namesBelow,
  namesIn,
  page,
  quoted,
  read,
  relativeLinks,
  root,
  section,
  tableRows,
} from "./docs/markdown.js";

const BYTES: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const DURATIONS: Readonly<Record<string, string>> = { ms: "ms", s: "s", minutes: "m", hours: "h", days: "d" };

const architecture = page("docs/architecture.md");
const guarantees = page("docs/guarantees.md");

for (const of of allPages()) {
  test(`every link and path in ${of.path} leads somewhere`, () => {
    const faults = relativeLinks(of).flatMap((link) => linkFault(of, link) ?? []);
    for (const path of namedPaths(of)) if (!exists(path)) faults.push(`${path} is not there`);
    assert.deepEqual(faults, []);
  });
}

test("every page that a comment in the sources names is there", () => {
  const named = namesBelow("src").flatMap((path) =>
    [...read(path).matchAll(/docs\/[\w/-]+\.md/g)].map(([page]) => `${page} in ${path}`),
  );
  assert.ok(named.length > 0);
  assert.deepEqual(
    named.filter((mention) => !exists(mention.split(" in ")[0]!)),
    [],
  );
});

test("the page of message headers has those that the broker and the protocols write", () => {
  const written = ["message", "dead-letter", "answer", "live-message"]
    .map((name) => read(`src/broker/${name}.ts`))
    .concat(read("src/protocols/amqp/original.ts"))
    .flatMap((source) => [...source.matchAll(/_HEADER = [`"]([^`"]+)[`"]/g)])
    .map(([, name]) => name!.replace(/^\$\{RESERVED_PREFIX\}/, "omnibus-"));
  const described = tableRows(page("docs/formats/message-headers.md").text).map(
    ([name = ""]) => quoted(name)[0],
  );
  assert.deepEqual(described.sort(), written.sort());
});

test("the architecture page names functions that are in the files it names", () => {
  const missing: string[] = [];
  for (const [, , where = "", functions = ""] of tableRows(section(architecture, "## One message"))) {
    const source = quoted(where).map(read).join("\n");
    for (const name of quoted(functions)) if (!hasName(source, name)) missing.push(`${name} in ${where}`);
  }
  for (const [, , owner, member, path] of architecture.text.matchAll(
    /(`((?:[A-Z]\w+))\.(#?\w+)`[^`|]{0,40}`(src\/[\w/.-]+\.ts)`)/g,
  )) {
    const source = read(path!);
    if (!hasName(source, owner!) || !hasName(source, member!)) missing.push(`${owner}.${member} in ${path}`);
  }
  assert.deepEqual(missing, []);
});

test("the architecture page maps every room of the sources", () => {
  const unmapped = namesIn("src")
    .filter((name) => !name.endsWith(".ts"))
    .filter((room) => !architecture.text.includes(`\`src/${room}/`));
  assert.deepEqual(unmapped, []);
});

test("the architecture page has the import table that is held against the sources", () => {
  const rows = tableRows(section(architecture, "## The rooms"));
  const written = Object.fromEntries(
    rows.map(([room = "", imports = ""]) => [room.replaceAll("`", ""), imports]),
  );
  for (const [room, imports] of Object.entries(written))
    assert.equal(imports, mayImport[room]?.join(", "), room);
  for (const name of namesIn("src")) {
    const room = name.replace(/\.ts$/, "");
    assert.ok(room in written || room === "broker-error", `the room ${room} is not in the table`);
  }
});

const queueRows = optionRows("**Queues**", "**Topics**");
const topicRows = optionRows("**Topics**", "**Groups**");
const handlerRows = optionRows("**Handlers**", "**Bounds that cannot be set:**");

test("the guarantees say what a queue is declared with when nothing is said", () => {
  const {
    attributes: _,
    countsInFlight: _everywhere,
    ageMaxMs,
    expiresAfterMs,
    deduplicateMs,
    deduplicateIdsMax,
    inboxMs,
    inboxIdsMax,
    ...rest
  } = QUEUE_DEFAULTS;
  assert.deepEqual(Object.fromEntries(queueRows), {
    ...rest,
    ageMax: ageMaxMs,
    "deduplicate.window": deduplicateMs,
    "deduplicate.idsMax": deduplicateIdsMax,
    "inbox.window": inboxMs,
    "inbox.idsMax": inboxIdsMax,
    expiresAfter: expiresAfterMs,
  });
});

test("the guarantees say what a topic is declared with when nothing is said", () => {
  const { retentionMs, retentionBytes, retentionCount, deduplicateMs, deduplicateIdsMax, ...rest } =
    TOPIC_DEFAULTS;
  assert.deepEqual(Object.fromEntries(topicRows), {
    ...rest,
    "deduplicate.window": deduplicateMs,
    "deduplicate.idsMax": deduplicateIdsMax,
    "retention.age": retentionMs,
    "retention.bytes": retentionBytes,
    "retention.count": retentionCount,
  });
});

test("the guarantees say what a group is declared with when nothing is said", () => {
  const text = guarantees.text.match(/^\*\*Groups\*\*: (.+)$/m)?.[1] ?? "";
  const said = Object.fromEntries(
    [...text.matchAll(/`(\w+)` ([\d,]+)/g)].map(([, name, value]) => [name, meaningOf(value!)]),
  );
  const { inFlightMax, attemptsMax, deadLetter } = SUBSCRIPTION_DEFAULTS;
  assert.deepEqual(said, { inFlightMax, attemptsMax });
  assert.equal(text.includes("dead letters are kept"), deadLetter);
});

test("the guarantees say how a handler is run when nothing is said", () => {
  const settingsOf = (options: AnyHandlerOptions, fraction: number) =>
    new HandlerSettings(options, { uint32: () => 0, fraction: () => fraction }, () => undefined);
  const settings = settingsOf({}, 0);
  const jittery = settingsOf({}, 1);
  const delayOf = (of: HandlerSettings, attempt: number, attempts?: number) => {
    const decision = (attempts === undefined ? of : patient(attempts)).retries.decide(new Error(), attempt);
    return decision.kind === "retry" ? decision.delayMs : undefined;
  };
  const patient = (attempts: number) => settingsOf({ retry: { attempts } }, 0);
  const first = delayOf(settings, 1)!;
  assert.deepEqual(Object.fromEntries(handlerRows), {
    concurrency: settings.concurrency,
    prefetch: settings.prefetch,
    lease: settings.leaseMs,
    timeout: settings.timeoutMs,
    "retry.attempts": settings.retries.attemptsMax,
    "retry.immediate": first === 0 ? 1 : 0,
    "retry.delay": first,
    "retry.delayMax": delayOf(settings, 100, 200),
    "retry.jitter": Number((1 - delayOf(jittery, 1)! / first).toFixed(2)),
  });
  assert.equal(delayOf(settings, 3), 4 * first, "doubled for each further retry");
});

test("the guarantees name bounds with the values that they have in the sources", () => {
  const rows = tableRows(guarantees.text.slice(guarantees.text.indexOf("**Bounds that cannot be set:**")));
  const bounds = rows.filter(([, constant = ""]) => /^`[A-Z_]+`$/.test(constant));
  assert.ok(bounds.length >= 15, "there is a table of bounds");
  for (const [written = "", constant = "", where = ""] of bounds) {
    const [name] = quoted(constant);
    const [path] = quoted(where);
    assert.equal(meaningOf(written), constantOf(read(path!), name!), `${name} in ${path}`);
  }
});

test("the guarantees say what the embedded engine can do", async () => {
  const engine = await memory().open(() => undefined);
  const rows = tableRows(section(guarantees, "## What the engine can do"));
  const written = Object.fromEntries(rows.map(([name = "", can]) => [quoted(name)[0], can === "yes"]));
  assert.deepEqual(written, engine.capabilities);
  await engine.broker.close();
});

test("the programs in the documentation compile, and the test that it shows passes", () => {
  const folder = join(root, "dist", "docs-programs");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const pages = allPages().filter(({ path }) => path.startsWith("docs/concepts/"));
  for (const of of pages) {
    const program = codeBlocks(of, "ts").join("\n");
    writeFileSync(join(folder, of.path.replace("docs/concepts/", "").replace(".md", ".ts")), program);
  }
  const compilerOptions = { incremental: false, rootDir: ".", outDir: ".", noUnusedLocals: false };
  const config = { extends: "../../tsconfig.json", compilerOptions, include: ["*.ts"], exclude: [] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  assertRuns([compiler, "-p", folder]);
  assertRuns([join(folder, "testing.js")]);
});

function assertRuns(argv: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
}

/** Rows of one table of options: the option and the value that its default stands for. */
function optionRows(from: string, to: string): [string, unknown][] {
  const text = guarantees.text;
  const rows = tableRows(text.slice(text.indexOf(from), text.indexOf(to)));
  return rows.map(([option = "", value = ""]) => [quoted(option)[0]!, meaningOf(value)]);
}

/** What a cell means: `10,000`, `1 MiB`, `7 days`, `no limit`, `true`, a word in code quotes. */
function meaningOf(cell: string): unknown {
  if (cell === "no limit") return UNLIMITED;
  if (cell === "not at all") return 0;
  if (cell === "none") return undefined;
  if (cell === "true" || cell === "false") return cell === "true";
  const [word] = quoted(cell);
  if (word !== undefined) return word;
  const [, digits = "", unit] = /^([\d.,]+)(?: (\w+))?$/.exec(cell) ?? [];
  const count = Number(digits.replaceAll(",", ""));
  if (unit === undefined) return count;
  const bytes = BYTES[unit];
  return bytes === undefined ? toMs(cell, `${count}${DURATIONS[unit]}` as "1s") : count * bytes;
}

/** The value of a constant that is a product of numbers and constants of the same file. */
function constantOf(source: string, name: string): number {
  const expression = new RegExp(`^(?:export )?const ${name} = ([^;]+);`, "m").exec(source)?.[1];
  assert.ok(expression !== undefined, `there is no constant ${name}`);
  return expression
    .split("*")
    .map((factor) => factor.trim().replaceAll("_", ""))
    .reduce(
      (product, factor) => product * (/^\d/.test(factor) ? Number(factor) : constantOf(source, factor)),
      1,
    );
}

function hasName(source: string, name: string): boolean {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\w#])${escaped}(?!\\w)`).test(source);
}
