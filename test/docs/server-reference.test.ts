// The reference of the server's configuration, held against what may stand in the file.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { systemIo } from "../../src/io/system-io.js";
import { OVERRIDES, readConfiguration } from "../../src/server/configuration.js";
import { CONFIGURATION } from "../../src/server/configuration-schema.js";
import { PORTS } from "../../src/server/server-options.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { page, quoted, read, section, tableRows } from "./markdown.js";

const reference = section(page("docs/server.md"), "## Configuration");
const rows = tableRows(reference);
const overrideRows = rows.filter(([, , variable = ""]) => variable.startsWith("`OMNIBUS_"));
const keyRows = rows.filter((row) => !overrideRows.includes(row));

interface Schema {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly item?: Schema;
  readonly wrapped?: Schema;
  readonly getter?: (input: unknown) => Schema;
}

/** Every key of the file, `users[].name`. */
function keysOf(schema: Schema, path = ""): string[] {
  if (schema.wrapped !== undefined) return keysOf(schema.wrapped, path);
  if (schema.getter !== undefined) return keysOf(schema.getter({}), path);
  if (schema.item?.entries !== undefined) return keysOf(schema.item, `${path}[]`);
  if (schema.entries === undefined) return [path];
  return Object.entries(schema.entries).flatMap(([key, inner]) =>
    keysOf(inner, path === "" ? key : `${path}.${key}`),
  );
}

test("the reference has every key of the file, and no other", () => {
  const written = keyRows.map(([key = ""]) => quoted(key)[0]!);
  assert.deepEqual(written.sort(), keysOf(CONFIGURATION as unknown as Schema).sort());
});

test("the defaults of the reference are what is there without them", async (t) => {
  const file = join(await temporaryDirectory(t), "omnibus.yaml");
  const readFile = async (text: string) => {
    await writeFile(file, text);
    return await readConfiguration({ files: systemIo.files, environment: {}, file, flags: {} });
  };
  const nested: Record<string, unknown> = {};
  for (const [key = "", byDefault = ""] of keyRows) {
    const [value] = quoted(byDefault);
    if (value === undefined || key.includes("tls.") || key.includes("data")) continue;
    const steps = quoted(key)[0]!.split(".");
    let at = nested as Record<string, Record<string, unknown>>;
    for (const step of steps.slice(0, -1)) {
      at[step] ??= {};
      at = at[step] as Record<string, Record<string, unknown>>;
    }
    (at as Record<string, unknown>)[steps.at(-1)!] = value;
  }
  const { listeners, ...written } = await readFile(JSON.stringify(nested));
  const { listeners: none, ...empty } = await readFile("");
  assert.deepEqual(written, empty);
  assert.deepEqual(none, {});
  assert.deepEqual(listeners, {
    amqp: { host: "127.0.0.1", port: PORTS.amqp.plain },
    nats: { host: "127.0.0.1", port: PORTS.nats.plain },
    natsWebSocket: "off",
    http: { host: "127.0.0.1", port: PORTS.http.plain },
  });
});

test("the reference has every flag and variable, and the command line every flag", () => {
  assert.deepEqual(
    overrideRows.map((row) => row.map((cell) => quoted(cell)[0])),
    OVERRIDES.map(({ key, flag, variable }) => [key, flag, variable]),
  );
  const cli = section(page("docs/cli.md"), "## `serve`");
  for (const { flag } of OVERRIDES) if (flag !== "--data") assert.ok(cli.includes(`\`${flag} `), flag);
});

test("the page names metrics that the server has", () => {
  const sources = ["server/connections", "server/meters", "protocols/amqp/counters"]
    .map((name) => read(`src/${name}.ts`))
    .join("\n");
  const metrics = tableRows(section(page("docs/server.md"), "## Metrics")).flatMap(([names = ""]) =>
    quoted(names),
  );
  assert.ok(metrics.length > 5);
  for (const name of metrics) assert.ok(sources.includes(`"${name}"`), name);
});
