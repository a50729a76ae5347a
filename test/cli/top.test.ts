import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { TopHistory, type TopRow } from "../../src/cli/commands/top-history.js";
import { runCommandLine } from "../../src/cli/program.js";
import { sparkline } from "../../src/cli/sparkline.js";
import { World } from "../../src/cli/world.js";
import { type BusStatistics, command, event, openBus } from "../../src/index.js";
import { systemIo } from "../../src/io/system-io.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { cli, jsonLines, scratch } from "./run-cli.js";

const Placed = event<{ id: string }>("order.placed");
const Work = command<number>("work");

interface Look {
  readonly timestamp: string;
  readonly sources: readonly TopRow[];
  readonly unknown: readonly string[];
}

function statistics(queue: object, topic: object = {}, group: object = {}): BusStatistics {
  const depth = { waiting: 0, inFlight: 0, delayed: 0, deadLetters: 0 };
  const queues = [{ name: "work", ...depth, publishedEver: 0, ...queue }];
  const groups = [{ name: "billing", lag: 0, ...depth, ...group }];
  const topics = [{ name: "order", bytes: 1, partitions: [], groups, ...topic }];
  return { queues, topics } as unknown as BusStatistics;
}

test("two looks make rates: what came in is what was stored, what went out is the rest of the depth", () => {
  const history = new TopHistory();
  const watermarks = (highWatermark: number) => ({ partitions: [{ highWatermark: 5 }, { highWatermark }] });
  const [first] = history.look(statistics({ waiting: 10, publishedEver: 100 }, watermarks(5), { lag: 3 }), 0);
  assert.deepEqual([first!.inPerSecond, first!.outPerSecond], [undefined, undefined]);
  const rows = history.look(
    statistics({ waiting: 4, inFlight: 2, delayed: 8, publishedEver: 130 }, watermarks(15), { lag: 9 }),
    2_000,
  );
  assert.deepEqual(
    rows.map(({ kind, name, inPerSecond, outPerSecond, depth, depths }) => ({
      kind,
      name,
      inPerSecond,
      outPerSecond,
      depth,
      depths,
    })),
    [
      { kind: "queue", name: "work", inPerSecond: 15, outPerSecond: 13, depth: 14, depths: [10, 14] },
      { kind: "group", name: "order/billing", inPerSecond: 5, outPerSecond: 2, depth: 9, depths: [3, 9] },
      {
        kind: "topic",
        name: "order",
        inPerSecond: 5,
        outPerSecond: undefined,
        depth: undefined,
        depths: [0, 0],
      },
    ],
  );
});

test("a queue that was made anew has no negative rate, and only the last looks are kept", () => {
  const history = new TopHistory();
  for (let look = 0; look < 100; look += 1)
    history.look(statistics({ waiting: look, publishedEver: 1_000 }), look * 1_000);
  const [row] = history.look(statistics({ waiting: 1, publishedEver: 1 }), 100_000);
  assert.deepEqual([row!.inPerSecond, row!.depths.length, row!.depths.at(-1)], [0, 20, 1]);
});

test("queues of dead letters are no rows: they show in a column", () => {
  const rows = new TopHistory().look(statistics({ name: "dead/work", deadLettersOf: "work" }), 0);
  assert.deepEqual(
    rows.map(({ name }) => name),
    ["order", "order/billing"],
  );
});

test("a line of bars is as high as its part of the greatest, and flat where nothing is", () => {
  assert.equal(sparkline([0, 1, 50, 100]), "▁▂▅█");
  assert.equal(sparkline([0, 0]), "▁▁");
  assert.equal(sparkline([]), "");
});

test("top shows what goes on beside the process that works, and what it cannot see", async (t) => {
  const data = join(await scratch(t), "data");
  await using bus = await openBus(data, { onError: () => {} });
  bus.on(Placed, { group: "billing" }, () => {});
  await bus.publishMany(Placed, [{ id: "o-1" }, { id: "o-2" }]);
  await bus.sendMany(Work, [1, 2, 3]);
  while (bus.statistics().topics[0]!.groups[0]!.settled < 2)
    await new Promise((resolve) => setImmediate(resolve));
  await bus.engine.broker.flush();
  const isDone = cli(["top", "--once", "--json", "--interval", "1s", "--data", data]);
  const publishing = new AbortController();
  const loop = (async () => {
    while (!publishing.signal.aborted) {
      await bus.send(Work, 4);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const { code, stdout, stderr } = await isDone;
  publishing.abort();
  await loop;
  assert.deepEqual([code, stderr], [0, ""]);
  const looks = jsonLines<Look>(stdout);
  assert.equal(looks.length, 1);
  const { sources, unknown } = looks[0]!;
  assert.deepEqual(
    sources.map(({ kind, name }) => `${kind} ${name}`),
    ["queue work", "topic order", "group order/billing"],
  );
  const [work, , billing] = sources;
  assert.ok(work!.inPerSecond! > 0 && work!.depth! > 3, JSON.stringify(work));
  assert.equal(work!.outPerSecond, 0);
  assert.equal(typeof work!.oldestAgeMs, "number");
  assert.deepEqual([billing!.depth, billing!.inPerSecond], [0, 0]);
  assert.ok(unknown.includes("inFlight"));
});

test("top prints a table where nobody looks at a screen, with as many rows as were asked for", async (t) => {
  const data = join(await scratch(t), "data");
  {
    await using bus = await openBus(data);
    await bus.queue("a").sendMany(["1", "2"]);
    await bus.queue("a").pause();
    await bus.queue("b").send("1");
  }
  const { code, stdout, stderr } = await cli(["top", "--once", "-i", "100ms", "-n", "1", "--data", data]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(
    stdout,
    /^omnibus top {2}\S+ {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n\nsource +in\/s +out\/s +depth /,
  );
  assert.match(
    stdout,
    /\nqueue a \(paused\) +0 +0 +2 +0 +0 +\d.* ██\nand 1 more, less busy\n\nSeen from beside: /,
  );
});

test("top says when there is nothing yet, and what is wrong with an option", async (t) => {
  const data = join(await scratch(t), "data");
  await (await openBus(data)).close();
  assert.match(
    (await cli(["top", "--once", "-i", "100ms", "--data", data])).stdout,
    /no queues and topics yet/,
  );
  for (const [option, value] of [
    ["--interval", "soon"],
    ["--interval", "1ms"],
    ["--rows", "0"],
  ]) {
    const { code, stderr } = await cli(["top", option!, value!, "--data", data]);
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`${option}.* It is a `));
  }
  assert.equal((await cli(["top", "--once", "--data", join(data, "none")])).code, 66);
});

test("on a terminal top draws over its own screen and leaves it as it was when it is interrupted", async (t) => {
  const data = await temporaryDirectory(t);
  {
    await using bus = await openBus(data);
    for (let i = 0; i < 10; i += 1) await bus.queue(`q${i}`).send("x");
  }
  let written = "";
  const interruption = new AbortController();
  const output = {
    isTTY: true,
    columns: 100,
    rows: 12,
    write(text: string | Uint8Array) {
      written += Buffer.from(text).toString();
      if (written.split("\u001b[H\u001b[J").length === 4) interruption.abort();
      return true;
    },
    once: () => undefined,
  };
  const world = new World({
    io: systemIo,
    stdin: (async function* () {})(),
    stdout: output,
    stderr: output,
    environment: { NO_COLOR: "1" },
    onHangUp: () => undefined,
    signal: interruption.signal,
  });
  const code = await runCommandLine(world, "0", ["top", "-i", "100ms", "--data", data]);
  assert.equal(code, 130);
  assert.ok(written.startsWith("\u001b[?1049h\u001b[?25l"));
  assert.ok(written.endsWith("\u001b[?25h\u001b[?1049l"));
  for (const screen of written.split("\u001b[H\u001b[J").slice(1)) {
    assert.ok(screen.split("\n").length <= 12, screen);
    assert.match(screen, /and 6 more/);
  }
});
