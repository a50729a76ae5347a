import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { cli, jsonLines, scratch } from "./run-cli.js";

interface Shown {
  readonly name: string;
  readonly cron?: string;
  readonly timeZone?: string;
  readonly everyMs?: number;
  readonly queue?: string;
  readonly subject: string;
  readonly isPaused: boolean;
  readonly missed: string;
  readonly nextAt?: string;
}

async function list(data: string): Promise<Shown[]> {
  const { code, stdout, stderr } = await cli(["schedule", "list", "--json", "--data", data]);
  assert.deepEqual([code, stderr], [0, ""]);
  return jsonLines<Shown>(stdout);
}

test("schedules are added, listed, paused, resumed and removed", async (t) => {
  const data = join(await scratch(t), "data");
  const cron = ["--cron", "0 6 * * 1-5", "--time-zone", "Europe/Berlin"];
  const added = await cli([
    ...["schedule", "add", "reports", '{"kind":"daily"}', ...cron],
    ...["--send", "report.make", "--missed", "all", "--data", data],
  ]);
  assert.deepEqual([added.code, added.stderr], [0, ""]);
  assert.match(added.stdout, /^reports sends to report\.make, next at \d{4}-\d\d-\d\d /);
  const beat = await cli([
    "schedule",
    "add",
    "beat",
    "--every",
    "1h",
    "--publish",
    "system.beat",
    "--data",
    data,
  ]);
  assert.equal(beat.code, 0, beat.stderr);
  const [reports, second] = await list(data);
  assert.deepEqual(
    [reports!.name, reports!.cron, reports!.timeZone, reports!.queue, reports!.missed],
    ["reports", "0 6 * * 1-5", "Europe/Berlin", "report.make", "all"],
  );
  assert.deepEqual([second!.name, second!.everyMs, second!.subject], ["beat", 3_600_000, "system.beat"]);
  const table = await cli(["schedule", "list", "--data", data]);
  assert.match(table.stdout, /beat +.*every 1 h.*publishes system\.beat/);
  for (const [verb, done] of [
    ["pause", "paused"],
    ["resume", "resumed"],
  ] as const) {
    const { code, stdout } = await cli(["schedule", verb, "reports", "--data", data]);
    assert.deepEqual([code, stdout], [0, `${done} reports\n`]);
    assert.equal((await list(data))[0]!.isPaused, verb === "pause");
  }
  assert.equal((await cli(["schedule", "remove", "reports", "--data", data])).code, 0);
  assert.deepEqual(
    (await list(data)).map(({ name }) => name),
    ["beat"],
  );
});

test("what is wrong with a schedule has its exit code and a hint", async (t) => {
  const data = join(await scratch(t), "data");
  const add = (...args: string[]) => cli(["schedule", "add", "s", ...args, "--data", data]);
  assert.equal((await add("--every", "1h", "--send", "q")).code, 0);
  const cases: [Promise<{ code: number | null; stderr: string }>, number, RegExp][] = [
    [add("--every", "1h"), 2, /hint: give --send <queue> or --publish <subject>/],
    [add("--send", "q"), 2, /hint: give --cron or --every/],
    [add("--every", "soon", "--send", "q"), 2, /--every 'soon' is no duration/],
    [cli(["schedule", "remove", "t", "--data", data]), 66, /there is no schedule t/],
    [cli(["schedule", "pause", "t", "--data", join(data, "none")]), 66, /there is no data directory/],
  ];
  for (const [running, expected, text] of cases) {
    const { code, stderr } = await running;
    assert.equal(code, expected, stderr);
    assert.match(stderr, text);
  }
  const mismatch = await add("--every", "2h", "--send", "q");
  assert.deepEqual([mismatch.code, /was declared with/.test(mismatch.stderr)], [1, true]);
  assert.equal((await add("--cron", "61 * * * *", "--send", "q")).code, 2);
  assert.equal((await add("--every", "2h", "--send", "q", "--replace")).code, 0);
  const unknown = await cli(["schedule", "pause", "t", "--data", data]);
  assert.equal(unknown.code, 66, unknown.stderr);
});
