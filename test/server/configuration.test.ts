// Flags, environment and file as one configuration; what is wrong is said with its place.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemIo } from "../../src/io/system-io.js";
import { type Configuration, type OverrideKey, readConfiguration } from "../../src/server/configuration.js";
import { failsWith } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

interface Given {
  readonly flags?: Partial<Record<OverrideKey, string>>;
  readonly environment?: Readonly<Record<string, string>>;
}

interface Place {
  readonly file: string;
  read(text: string, given?: Given): Promise<Configuration>;
  /** That the file is refused, in words that begin after its path. */
  refuses(text: string, message: RegExp): Promise<void>;
}

async function place(t: TestContext): Promise<Place> {
  const folder = join(await temporaryDirectory(t), "etc");
  await mkdir(folder);
  const file = join(folder, "omnibus.yaml");
  const read = async (text: string, { flags = {}, environment = {} }: Given = {}): Promise<Configuration> => {
    await writeFile(file, text);
    return await readConfiguration({ files: systemIo.files, environment, file, flags });
  };
  const refuses = async (text: string, message: RegExp): Promise<void> => {
    const whole = new RegExp(`^${file.replaceAll("/", "\\/")}:${message.source}`);
    await failsWith("INVALID_CONFIGURATION", () => read(text), whole);
  };
  return { file, read, refuses };
}

test("an empty file is the defaults, and so is none", async (t) => {
  const { file, read } = await place(t);
  const none = await readConfiguration({
    files: systemIo.files,
    environment: {},
    file: undefined,
    flags: {},
  });
  assert.deepEqual(await read("# nothing\n"), { ...none, file });
  assert.equal(none.data, "./omnibus-data");
  assert.equal(none.reloadable.limits?.idleMs, 60_000);
  assert.equal(none.reloadable.limits?.messageBytesMax, 16 * 1024 * 1024);
});

test("a flag comes before the environment, that before the file, that before the default", async (t) => {
  const { read } = await place(t);
  const text = "listen: { amqp: 1001, nats: 1002, http: off }\n";
  const environment = { OMNIBUS_AMQP: "2001", OMNIBUS_NATS: "off", OMNIBUS_HTTP: "" };
  const { listeners } = await read(text, { environment, flags: { "listen.amqp": "[::1]:3001" } });
  assert.deepEqual(listeners, { amqp: { host: "::1", port: 3001 }, nats: "off", http: "off" });
});

test("an address from outside is that of a listener that has more in the file", async (t) => {
  const { read } = await place(t);
  const text = "listen:\n  natsWebSocket:\n    origins: ['https://a.example']\n    tls: false\n";
  const { listeners } = await read(text, { environment: { OMNIBUS_NATS_WEBSOCKET: "localhost:8000" } });
  const expected = { host: "localhost", port: 8000, tls: false, origins: ["https://a.example"] };
  assert.deepEqual(listeners.natsWebSocket, expected);
});

test("durations and sizes have units, and an address may be a port alone", async (t) => {
  const { read } = await place(t);
  const text =
    "limits: { idle: 2m, handshake: 250ms, pendingBytesMax: 1.5MiB }\nshutdown: { wait: 0s }\nlisten: { amqp: 5000 }\n";
  const { reloadable, shutdownWaitMs, listeners } = await read(text);
  const { idleMs, handshakeMs, pendingBytesMax } = reloadable.limits!;
  assert.deepEqual([idleMs, handshakeMs, pendingBytesMax, shutdownWaitMs], [120_000, 250, 1_572_864, 0]);
  assert.deepEqual(listeners.amqp, { port: 5000 });
});

test("paths in the file are meant from where it lies, those from outside from where the command runs", async (t) => {
  const { file, read } = await place(t);
  const folder = join(file, "..");
  assert.equal((await read("data: ../data\n")).data, join(folder, "..", "data"));
  assert.equal((await read("data: ../data\n", { flags: { data: "elsewhere" } })).data, "elsewhere");
  await writeFile(join(folder, "server.pem"), "the certificate");
  await writeFile(join(folder, "server.key"), "the key");
  const { tls } = (await read("tls: { certificate: server.pem, key: ./server.key }\n")).reloadable;
  assert.deepEqual(tls, { certificate: "the certificate", key: "the key", clientCertificates: "none" });
});

test("what is wrong is named with file, line, path, what it is and what it may be", async (t) => {
  const { refuses } = await place(t);
  await refuses(
    "data: x\nlimits:\n  idle: soon\n",
    /3: limits\.idle is "soon"; give a duration such as 250ms/,
  );
  await refuses(
    "limits:\n  messageBytesMax: 65MiB\n",
    /2: .* is "65MiB"; give a size such as 16MiB, from 1 to 67108864/,
  );
  await refuses("log:\n\n  level: loud\n", /3: log\.level is "loud"; give debug, info, warn or error\.$/);
  await refuses("users:\n  - name: a\n  - name: 5\n", /3: users\[1\]\.name is 5; give a name\.$/);
  await refuses("users:\n  - password: x\n", /2: users\[0\]\.name is missing; give a name/);
  await refuses("listen: [1]\n", /1: listen/);
  await refuses(
    "tls:\n  certificate: nothing.pem\n  key: nothing.key\n",
    /2: tls\.certificate: .*nothing\.pem cannot be read: there is no such file\.$/,
  );
});

test("what does not fit together is named as well", async (t) => {
  const { refuses } = await place(t);
  await refuses("users:\n  - name: a\n  - name: a\n", /3: users\[1\]\.name is "a" once more/);
  await refuses(
    "users: [{ name: a }]\nanonymous: b\n",
    /2: anonymous is "b"; give the name of one of the users/,
  );
  await refuses(
    "users:\n  - name: a\n    permissions:\n      publish: [a, a.>.b]\n",
    /4: users\[0\]\.permissions\.publish\[1\] is "a\.>\.b"; give a pattern/,
  );
  await refuses(
    "users:\n  - name: a\n    nkey: UABC\n",
    /3: users\[0\]\.nkey is "UABC"; give the public key/,
  );
  await refuses(
    "tls: { certificate: a, key: b, clientCertificates: required }\n",
    /1: tls\.clientCertificates needs tls\.authorities/,
  );
});

test("a key that there is not is an error, with the one that may be meant", async (t) => {
  const { refuses } = await place(t);
  await refuses(
    "limits:\n  stall: 1s\n  conectionsMax: 5\n",
    /3: limits\.conectionsMax: there is no such key; perhaps connectionsMax is meant\. There are connectionsMax, handshake,/,
  );
  await refuses("user: []\n", /1: user: there is no such key; perhaps users is meant/);
  await refuses("zzzzzz: 1\n", /1: zzzzzz: there is no such key\. There are data,/);
  await refuses("users:\n  - nmae: a\n", /2: users\[0\]\.nmae: there is no such key; perhaps name is meant/);
});

test("a file that is no YAML is named with the line, a key that stands twice too", async (t) => {
  const { refuses } = await place(t);
  await refuses("listen: [\n", /\d: this is no YAML: /);
  await refuses("- data\n", /1: this is no mapping/);
  await refuses("data: a\nlog: {}\ndata: b\n", /3: this is no YAML: Map keys must be unique/);
});

test("a password that stands where its hash belongs is never repeated", async (t) => {
  const { read } = await place(t);
  for (const proof of ["password", "token"])
    await failsWith(
      "INVALID_CONFIGURATION",
      () => read(`users:\n  - name: ada\n    ${proof}: hunter2\n`),
      new RegExp(`^(?!.*hunter2).*omnibus\\.yaml:3: users\\[0\\]\\.${proof} .*omnibus hash-password`),
    );
});
