import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openBus } from "../../src/index.js";
import { cli, jsonLines, scratch } from "./run-cli.js";

/** A directory with a queue of five commands. */
async function filled(t: TestContext): Promise<string> {
  const data = join(await scratch(t), "data");
  const bus = await openBus(data);
  for (const body of ["a", "b", "c", "d", "e"]) await bus.queue("stock").send(body);
  await bus.close();
  return data;
}

test("verify says that a directory is sound, and repair that nothing was changed", async (t) => {
  const data = await filled(t);
  const verified = await cli(["verify", "--data", data]);
  assert.deepEqual([verified.code, verified.stderr], [0, ""]);
  assert.match(verified.stdout, /^sound: \d+ logs, \d+ batches, \d+ records, /);
  const repaired = await cli(["repair", "--data", data]);
  assert.deepEqual([repaired.code, repaired.stdout], [0, "nothing is damaged, and nothing was changed\n"]);
});

test("verify names the damaged byte and ends with 1; repair gives up one message and keeps a copy", async (t) => {
  const data = await filled(t);
  const path = join(data, "logs/queue.1.stock/00000000000000000000.log");
  const bytes = await readFile(path);
  const size = bytes.length / 5;
  bytes[2 * size + 65]! ^= 8;
  await writeFile(path, bytes);

  const verified = await cli(["verify", "--data", data]);
  assert.equal(verified.code, 1);
  assert.ok(
    verified.stdout.startsWith(`damage: ${path}, byte ${2 * size + 17}: checksum is `),
    verified.stdout,
  );
  assert.match(verified.stderr, /error: the data directory is damaged in 1 place\nhint: `omnibus repair`/);

  const repaired = await cli(["repair", "--json", "--data", data]);
  assert.equal(repaired.code, 0);
  const [repair] = jsonLines(repaired.stdout);
  assert.deepEqual(repair!["givenUp"], [{ log: "queue.1.stock", start: 2, end: 3 }]);
  assert.deepEqual(
    await readFile(join(String(repair!["copy"]), "logs/queue.1.stock/00000000000000000000.log")),
    bytes,
  );
  assert.equal((await cli(["verify", "--data", data])).code, 0);

  const bus = await openBus(data);
  const left = await bus.queue("stock").receiveBatch({ max: 10 });
  assert.deepEqual(
    left.map(({ message }) => message.text()),
    ["a", "b", "d", "e"],
  );
  await bus.close();
});

test("a directory that a process holds is not touched", async (t) => {
  const data = await filled(t);
  const bus = await openBus(data);
  for (const command of ["verify", "repair"]) assert.equal((await cli([command, "--data", data])).code, 75);
  await bus.close();
});
