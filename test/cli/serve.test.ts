// `omnibus serve` as its users run it: what it prints, what it refuses, how it is told anew, and how it ends.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { cli, finish, jsonLines, scratch, startCli } from "./run-cli.js";
import { type LogLine, Served } from "./served.js";

const FREE = ["--amqp", "127.0.0.1:0", "--nats", "off", "--http", "127.0.0.1:0"];

async function takenPort(t: TestContext): Promise<number> {
  const server: NetServer = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket.on("error", () => undefined);
}

test("it says what listens where, then ready, then three commands to try", async (t) => {
  const data = join(await scratch(t), "data");
  const child = startCli(["serve", "--data", data, ...FREE]);
  t.after(() => child.kill("SIGKILL"));
  const ended = finish(child);
  const lines = createInterface(child.stdout);
  const printed: string[] = [];
  lines.on("line", (line) => printed.push(line));
  while (printed.filter((line) => line.startsWith("  ")).length < 3) await once(lines, "line");
  child.kill("SIGTERM");
  const { code, signal } = await ended;
  assert.deepEqual([code, signal], [0, null]);
  const text = printed.join("\n");
  assert.match(
    text,
    /^Omnibus on .* \(synced\)\n\nprotocol +address\nAMQP 0-9-1 +amqp:\/\/127\.0\.0\.1:\d+\nHTTP +http:\/\/127\.0\.0\.1:\d+ /,
  );
  assert.match(text, /There are no users.*\n\nready\n\nTry/);
});

test("it serves, and a data directory that it holds can be looked at beside it and not changed", async (t) => {
  const data = join(await scratch(t), "data");
  const served = await Served.start(t, ["--data", data, ...FREE]);
  const url = served.ready.listening["http"]!.url;
  assert.equal((await fetch(`${url}/health/ready`)).status, 200);
  assert.equal(served.ready.hasUsers, false);
  assert.equal((await cli(["queues", "--data", data])).code, 0);
  const changing = await cli(["send", "jobs", "{}", "--data", data]);
  assert.equal(changing.code, 75);
  assert.match(changing.stderr, new RegExp(`${served.child.pid}[^]*hint: stop that process`));
});

test("SIGTERM lets clients go, stores everything and ends with 0; the next one opens what is there", async (t) => {
  const data = join(await scratch(t), "data");
  const served = await Served.start(t, ["--data", data, ...FREE]);
  const client = await open(t, served.port("amqp"));
  const gone = once(client.resume(), "close");
  served.child.kill("SIGTERM");
  const [code] = await once(served.child, "exit");
  await gone;
  assert.equal(code, 0);
  const texts = served.log.map(({ text }) => text);
  assert.deepEqual(texts.slice(-2), [
    "the server is being closed",
    "the bus is closed, and everything is stored",
  ]);
  await Served.start(t, ["--data", data, ...FREE]);
});

test("a port that is taken is named with the flag that helps", async (t) => {
  const port = await takenPort(t);
  const data = join(await scratch(t), "data");
  const { code, stdout, stderr } = await cli([
    "serve",
    "--data",
    data,
    ...FREE,
    "--amqp",
    `127.0.0.1:${port}`,
  ]);
  assert.deepEqual([code, stdout], [75, ""]);
  assert.match(
    stderr,
    new RegExp(`error: The listener amqp cannot listen on 127.0.0.1:${port}: another program`),
  );
  assert.match(stderr, new RegExp(`hint: .*omnibus serve --amqp 127.0.0.1:${port + 1}.*--amqp off`));
});

test("beyond this machine it wants users", async (t) => {
  const data = join(await scratch(t), "data");
  const { code, stderr } = await cli(["serve", "--data", data, ...FREE, "--amqp", "0.0.0.0:0"]);
  assert.equal(code, 2);
  assert.match(stderr, /amqp is to listen on 0\.0\.0\.0.*no users.*hash-password/);
});

test("a flag that is wrong ends with 2 and names the flag; a variable, the variable; a file, the line", async (t) => {
  const cwd = await scratch(t);
  const wrong = async (args: readonly string[], environment: Record<string, string> = {}) => {
    const { code, stderr } = await cli(["serve", ...args], { cwd, environment });
    assert.equal(code, 2, stderr);
    return stderr;
  };
  assert.match(await wrong(["--amqp", "nowhere"]), /error: --amqp is "nowhere"; give HOST:PORT/);
  assert.match(await wrong([], { OMNIBUS_NATS: "x:y:z" }), /error: OMNIBUS_NATS is "x:y:z"; give HOST:PORT/);
  await writeFile(join(cwd, "omnibus.yaml"), "listen:\n  amqq: off\n");
  assert.match(
    await wrong([]),
    /error: omnibus\.yaml:2: listen\.amqq: there is no such key; perhaps amqp is meant/,
  );
  assert.match(await wrong(["--config", "other.yaml"]), /other\.yaml cannot be read: there is no such file/);
});

test("SIGHUP has users and limits read again; what is wrong is named, and all goes on as before", async (t) => {
  const folder = await scratch(t);
  const file = join(folder, "omnibus.yaml");
  const { stdout: hash } = await cli(["hash-password"], { input: "s3cret\nignored" });
  assert.match(hash, /^\$scrypt\$/);
  await writeFile(file, "limits:\n  connectionsMax: 5\n");
  const served = await Served.start(t, ["--config", file, "--data", join(folder, "data"), ...FREE]);
  const client = await open(t, served.port("amqp"));
  const cut = once(client.resume(), "close");
  await writeFile(file, "limits:\n  connectionsMax: many\n");
  served.child.kill("SIGHUP");
  const refused = await served.logged(/not read again/);
  assert.match(String(refused["reason"]), /omnibus\.yaml:2: limits\.connectionsMax is "many"/);
  await writeFile(file, `users:\n  - name: ada\n    password: ${hash.trim()}\nlog:\n  level: debug\n`);
  served.child.kill("SIGHUP");
  const { users, cut: count } = await served.logged(/was read again/);
  assert.deepEqual([users, count], [1, 1]);
  await cut;
  assert.equal((await served.logged(/needs a restart/))["key"], "log");
});

test("a second signal ends it at once", async (t) => {
  const data = join(await scratch(t), "data");
  const served = await Served.start(t, ["--data", data, ...FREE]);
  // A client that has begun a frame, and never answers the farewell.
  const client = connect({ port: served.port("amqp"), host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => client.destroy());
  client.on("error", () => undefined).write("AMQP\u0000\u0000\u0009\u0001");
  await once(client, "data");
  served.child.kill("SIGTERM");
  await served.logged(/is being closed/);
  served.child.kill("SIGTERM");
  const [code] = await once(served.child, "exit");
  assert.ok(code === 130 || code === 0);
});

test("the log is JSON on a pipe, with level, time and text", async (t) => {
  const data = join(await scratch(t), "data");
  const child = startCli(["serve", "--data", data, ...FREE, "--log-level", "debug"]);
  t.after(() => child.kill("SIGKILL"));
  const ended = finish(child);
  await once(child.stdout, "data");
  child.kill("SIGINT");
  const { code, stderr } = await ended;
  assert.equal(code, 0);
  for (const line of jsonLines<LogLine>(stderr)) {
    assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.ok(["debug", "info", "warn", "error"].includes(line.level) && line.text !== "");
  }
});
