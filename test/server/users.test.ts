// Who may connect, how they prove it, and what a reload does to those who are connected.

import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { type TestContext, test } from "node:test";
import { systemIo } from "../../src/io/system-io.js";
import { hashPassword, parsePasswordHash } from "../../src/server/password-hash.js";
import type { UserOptions } from "../../src/server/user-options.js";
import { Users } from "../../src/server/users.js";
import { failsWith } from "../support/buses.js";
import { LineClient, lineServer, logOf, portOf } from "./world.js";

/** Those of the tests cost little. */
const CHEAP = { N: 2, r: 1, p: 1 };

function cheapHash(password: string, cost = CHEAP): Promise<string> {
  return hashPassword(password, systemIo.random, cost);
}

async function usersWith(...options: UserOptions[]): Promise<Users> {
  const users = new Users(systemIo.random);
  users.use(users.read(options));
  return users;
}

async function login(t: TestContext, port: number, user: string, password: string): Promise<LineClient> {
  const client = LineClient.connect(port);
  t.after(() => client.socket.destroy());
  assert.equal(await client.line(), "hello");
  assert.equal(await client.ask(`login ${user} ${password}`), `welcome ${user}`);
  return client;
}

test("a hash is another one each time, and matches its password alone", async () => {
  const [first, second] = await Promise.all([hashPassword("s3cret"), hashPassword("s3cret")]);
  assert.notEqual(first, second);
  assert.match(first, /^\$scrypt\$32768\$8\$1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  const users = await usersWith({ name: "ada", password: first });
  const prove = async (user: string, password: string) =>
    (await users.authenticate({ kind: "password", user, password })).access?.user;
  assert.equal(await prove("ada", "s3cret"), "ada");
  assert.equal(await prove("ada", "s3cret "), undefined);
  assert.equal(await prove("ada", ""), undefined);
  assert.equal(await prove("Ada", "s3cret"), undefined);
});

test("a text that is no hash, or would cost too much, is none", () => {
  const tail = "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  assert.ok(parsePasswordHash(`$scrypt$1024$8$1$${tail}`));
  for (const cost of ["1000$8$1", "1048576$8$1", "1024$0$1", "1024$8$17", "1024$8"])
    assert.equal(parsePasswordHash(`$scrypt$${cost}$${tail}`), undefined, cost);
  assert.equal(parsePasswordHash("secret"), undefined);
});

test("a hash that is none is refused without being repeated: it may be the password", async () => {
  await failsWith(
    "INVALID_OPTION",
    () => usersWith({ name: "ada", password: "hunter2" }),
    /^(?!.*hunter2).*hash-password/,
  );
});

test("a user may come with a token, an nkey or a certificate as well", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const nkey = userKeyText(raw);
  const users = await usersWith(
    { name: "by-token", token: await cheapHash("tok") },
    { name: "by-nkey", nkey },
    { name: "by-certificate", certificate: "orders.example" },
  );
  const nonce = Buffer.from("nonce");
  const signature = sign(null, nonce, privateKey);
  const prove = async (credentials: Parameters<Users["authenticate"]>[0]) =>
    (await users.authenticate(credentials)).access?.user;
  assert.equal(await prove({ kind: "token", token: "tok" }), "by-token");
  assert.equal(await prove({ kind: "token", token: "other" }), undefined);
  assert.equal(await prove({ kind: "nkey", publicKey: nkey, nonce, signature }), "by-nkey");
  assert.equal(
    await prove({ kind: "nkey", publicKey: nkey, nonce: Buffer.from("other"), signature }),
    undefined,
  );
  assert.equal(await prove({ kind: "nkey", publicKey: nkey, nonce, signature: Buffer.alloc(3) }), undefined);
  assert.equal(await prove({ kind: "certificate", name: "orders.example" }), "by-certificate");
  assert.equal(await prove({ kind: "certificate", name: "by-certificate" }), undefined);
  assert.equal(await prove({ kind: "password", user: "by-token", password: "tok" }), undefined);
  const misspelt = nkey.slice(0, -1) + (nkey.endsWith("A") ? "B" : "A");
  await failsWith("INVALID_OPTION", () => usersWith({ name: "a", nkey: misspelt }), /nkey/);
});

test("a public key of NATS's own documentation is read", async () => {
  await usersWith({ name: "a", nkey: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4" });
});

test("ten thousand connections of one user cost one hash", async () => {
  const users = await usersWith({ name: "ada", password: await hashPassword("s3cret") });
  const began = performance.now();
  await users.authenticate({ kind: "password", user: "ada", password: "s3cret" });
  const oneMs = performance.now() - began;
  const again = performance.now();
  const proved = await Promise.all(
    Array.from({ length: 10_000 }, () =>
      users.authenticate({ kind: "password", user: "ada", password: "s3cret" }),
    ),
  );
  assert.ok(proved.every(({ access }) => access?.user === "ada"));
  assert.ok(performance.now() - again < 100 * oneMs, "far from ten thousand hashes");
});

test("a crowd that guesses is refused rather than queued without end, and who is known comes in", async () => {
  const users = await usersWith({
    name: "ada",
    password: await cheapHash("s3cret", { N: 4096, r: 8, p: 1 }),
  });
  const guess = (password: string) => users.authenticate({ kind: "password", user: "ada", password });
  assert.ok((await guess("s3cret")).access);
  const guesses = Array.from({ length: 150 }, (_, index) => guess(`guess ${index}`));
  assert.ok((await guess("s3cret")).access);
  const busy = await Promise.all(guesses.slice(-40));
  assert.ok(busy.every(({ access, isBusy }) => access === undefined && isBusy));
});

test("with users, nobody comes in without proof; without, everybody is who they say", async (t) => {
  const password = await cheapHash("pass");
  const guarded = await lineServer(t, { users: [{ name: "ada", password }] });
  const client = LineClient.connect(portOf(guarded));
  assert.equal(await client.line(), "hello");
  assert.equal(await client.ask("publish order.placed"), "undefined");
  assert.equal(await client.ask("login ada wrong"), "refused");
  assert.equal(await client.ask("login eve pass"), "refused");
  assert.equal(await client.ask("login ada pass"), "welcome ada");
  assert.equal(await client.ask("publish order.placed"), "true");
  const log = logOf(guarded).lines.filter(({ level }) => level === "warn");
  assert.deepEqual(
    log.map(({ fields, text }) => [fields["user"], text]),
    [
      ["ada", "a client could not prove who it is"],
      ["eve", "a client could not prove who it is"],
    ],
  );
  const open = await lineServer(t);
  assert.equal((await login(t, portOf(open), "guest", "guest")).socket.destroyed, false);
});

test("those who name no user have the permissions of the one that is called anonymous", async (t) => {
  const users = [{ name: "guest", permissions: { publish: ["public.#"] } }];
  const server = await lineServer(t, { users, anonymous: "guest" });
  const client = LineClient.connect(portOf(server));
  assert.equal(await client.line(), "hello");
  assert.equal(await client.ask("publish public.news"), "true");
  assert.equal(await client.ask("publish private.news"), "false");
  await failsWith("INVALID_OPTION", () => lineServer(t, { users, anonymous: "gast" }), /anonymous/);
});

test("a listener beyond loopback is refused without users, with what to do", async (t) => {
  for (const host of ["0.0.0.0", "::", "192.0.2.1", "broker.example"]) {
    await failsWith(
      "INVALID_CONFIGURATION",
      () => lineServer(t, { amqp: { host, port: 0 } }),
      /amqp is to listen on .* no users.*omnibus hash-password.*127\.0\.0\.1/,
    );
  }
  const users = [{ name: "ada", password: await cheapHash("pass") }];
  const server = await lineServer(t, { amqp: { host: "0.0.0.0", port: 0 }, users });
  assert.equal((await login(t, portOf(server), "ada", "pass")).socket.destroyed, false);
  await failsWith("INVALID_CONFIGURATION", () => server.reload({ users: [] }), /no users/);
});

test("a reload cuts those whose user is gone, proves itself otherwise or may do less, and no one else", async (t) => {
  const [password, other] = await Promise.all([cheapHash("pass"), cheapHash("other")]);
  const permissions = { publish: ["a.#", "b.#"] };
  const names = ["gone", "changed", "less", "more", "same"];
  const server = await lineServer(t, { users: names.map((name) => ({ name, password, permissions })) });
  const clients = new Map<string, LineClient>();
  for (const name of names) clients.set(name, await login(t, portOf(server), name, "pass"));
  const cut = server.reload({
    users: [
      { name: "changed", password: other, permissions },
      { name: "less", password, permissions: { publish: ["a.#"] } },
      { name: "more", password, permissions: { publish: ["a.#", "b.#", "c.#"] } },
      { name: "same", password, permissions },
    ],
  });
  assert.equal(cut, 3);
  assert.equal(await clients.get("gone")?.line(), "cut: the user gone is no more");
  assert.equal(await clients.get("changed")?.line(), "cut: the user changed was changed");
  assert.equal(await clients.get("less")?.line(), "cut: the user less was changed");
  assert.equal(await clients.get("more")?.ask("publish c.d"), "true");
  assert.equal(await clients.get("same")?.ask("publish c.d"), "false");
  assert.equal((await login(t, portOf(server), "changed", "other")).socket.destroyed, false);
});

test("users that come with a reload cut those who never proved anything", async (t) => {
  const server = await lineServer(t);
  const named = await login(t, portOf(server), "guest", "guest");
  const silent = LineClient.connect(portOf(server));
  assert.equal(await silent.line(), "hello");
  server.reload({ users: [{ name: "ada", password: await cheapHash("pass") }] });
  assert.match((await named.line()) ?? "", /^cut: users have to prove/);
  assert.match((await silent.line()) ?? "", /^cut: users have to prove/);
});

test("a reload that is wrong changes nothing at all", async (t) => {
  const password = await cheapHash("pass");
  const server = await lineServer(t, { users: [{ name: "ada", password }] });
  const client = await login(t, portOf(server), "ada", "pass");
  const twice = [
    { name: "eve", password },
    { name: "eve", password },
  ];
  await failsWith("INVALID_OPTION", () => server.reload({ users: twice }), /each name once/);
  await failsWith("INVALID_OPTION", () => server.reload({ users: [], limits: { idleMs: 0 } }), /idleMs/);
  assert.equal(await client.ask("still there?"), "still there?");
  assert.equal((await login(t, portOf(server), "ada", "pass")).socket.destroyed, false);
});

/** The text of a user's key, as NATS's tools write it. */
function userKeyText(key: Buffer): string {
  const body = Buffer.concat([Buffer.from([20 << 3]), key]);
  let crc = 0;
  for (const byte of body) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1)
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  const bytes = Buffer.concat([body, Buffer.from([crc & 0xff, crc >> 8])]);
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits.replace(/.{5}/g, (five) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(five, 2)]!);
}
