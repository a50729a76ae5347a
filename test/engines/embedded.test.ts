import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import {
  type Bus,
  command,
  type EmbeddedCapabilities,
  type EmbeddedOptions,
  embedded,
  event,
  memory,
  openBus,
} from "../../src/index.js";
import { MemoryFiles } from "../../src/io/memory-files.js";
import { systemIo } from "../../src/io/system-io.js";
import { VirtualClock } from "../../src/testing/index.js";
import { collect, deadLettersOf, failsWith, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Work = command<number>("work");
const Placed = event<number>("order.placed");

test("what is wrong with the engine's options is named before anything is opened", async () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /directory/],
    [{}, /directory/],
    [{ directory: "" }, /directory/],
    [{ directory: "d", durability: "eternal" }, /durability.*'eternal'.*synced, written, memory/],
    [{ directory: "d", cacheBytes: -1 }, /cacheBytes.*-1/],
    [{ directory: "d", cacheBytes: Number.NaN }, /cacheBytes.*NaN/],
    [{ directory: "d", readOnly: "yes" }, /readOnly.*'yes'/],
  ];
  for (const [options, message] of wrong)
    await failsWith("INVALID_OPTION", () => embedded(options as EmbeddedOptions), message);
});

for (const durability of ["synced", "written"] as const) {
  test(`durability ${durability}: messages, dead letters and settlements survive a restart`, async (t) => {
    const directory = await temporaryDirectory(t);
    const open = () => openBus(embedded({ directory, durability }));
    const first = await open();
    first.handle(Work, { retry: { attempts: 1 } }, (number) => {
      if (number === 2) throw new Error("no");
    });
    await first.sendMany(Work, [1, 2]);
    while (first.statistics().queues.find(({ name }) => name === "work")?.deadLetters !== 1)
      await new Promise((resolve) => setImmediate(resolve));
    await first.drain();
    await first.send(Work, 3);
    await first.close();
    const second = await open();
    try {
      const stored = await collect(second.queue("work").browse());
      assert.deepEqual(
        stored.map((message) => message.json()),
        [3],
      );
      assert.equal((await deadLettersOf(second))[0]?.message.json(), 2);
    } finally {
      await second.close();
    }
  });
}

test("durability memory keeps what is declared so in memory, also for one queue of a durable bus", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await bus.queue("fleeting", { durability: "memory" }).send("a");
    await bus.queue("kept").send("b");
    assert.equal((await collect(bus.queue("fleeting").browse())).length, 1);
  });
  await withBus(directory, async (bus) => {
    assert.equal((await collect(bus.queue("fleeting").browse())).length, 0);
    assert.equal((await collect(bus.queue("kept").browse())).length, 1);
  });
});

test("memory() has no directory, and two of them share nothing", async () => {
  const [a, b] = await Promise.all([openBus(memory()), openBus(memory())]);
  await a.send(Work, 1);
  assert.equal(a.statistics().queues.length, 1);
  assert.equal(b.statistics().queues.length, 0);
  await Promise.all([a.close(), b.close()]);
});

test("a directory that is open is refused to others, with who has it; closing gives it free", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await failsWith("DATA_DIRECTORY_LOCKED", () => openBus(directory), new RegExp(`${process.pid}`));
    await bus.send(Work, 1);
  });
  await withBus(directory, async (bus) => {
    assert.equal((await bus.queue("work").statistics()).waiting, 1);
  });
});

test("a path that is no directory is DATA_DIRECTORY_UNUSABLE", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeFile(`${directory}/file`, "");
  await failsWith("DATA_DIRECTORY_UNUSABLE", () => openBus(`${directory}/file`));
  await failsWith("DATA_DIRECTORY_UNUSABLE", () =>
    openBus(embedded({ directory: `${directory}/none`, readOnly: true })),
  );
  assert.deepEqual(await readdir(directory), ["file"]);
});

test("an injected world is the one that is used: its disk, its clock", async (t) => {
  const directory = await temporaryDirectory(t);
  const clock = new VirtualClock(Date.UTC(2030, 0, 1));
  const io = { ...systemIo, files: new MemoryFiles(), clock };
  const open = () => openBus(embedded({ directory: `${directory}/data`, io }));
  const first = await open();
  const receipt = await first.send(Work, 1, { delay: "1h" });
  assert.equal(receipt.timestampMs, Date.UTC(2030, 0, 1));
  await first.close();
  assert.deepEqual(await readdir(directory), []);
  const second = await open();
  const seen: number[] = [];
  second.handle(Work, (number) => void seen.push(number));
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await clock.advance(3_599_999, turns);
  assert.deepEqual(seen, []);
  await clock.advance(30_000, turns);
  assert.deepEqual(seen, [1]);
  await second.close();
});

/** A directory with one of everything: waiting, settled, in a topic, dead. Its owner stays open. */
async function owned(directory: string): Promise<Bus<EmbeddedCapabilities>> {
  const owner = await openBus(directory);
  await owner.queue("q").sendMany(["a", "b"]);
  await owner.on(Placed, { group: "g" }, () => undefined).ready;
  await owner.drain();
  await owner.publishMany(Placed, [1, 2]);
  const [dead] = await owner.queue("q").receiveBatch({ max: 1 });
  await dead!.deadLetter("spoilt");
  await owner.drain();
  return owner;
}

test("a bus that only looks works beside the owner: statistics, browse, read, dead letters", async (t) => {
  const directory = await temporaryDirectory(t);
  const owner = await owned(directory);
  const bus = await openBus(embedded({ directory, readOnly: true }));
  try {
    const { queues, topics } = bus.statistics();
    assert.deepEqual(queues.map(({ name, waiting, deadLetters }) => [name, waiting, deadLetters]).sort(), [
      ["dead/q", 1, 0],
      ["q", 1, 1],
    ]);
    assert.equal(topics[0]?.groups[0]?.lag, 2);
    const browsed = await collect(bus.queue("q").browse());
    assert.deepEqual(
      browsed.map((message) => message.text()),
      ["b"],
    );
    const read = await collect(bus.topic("order").read());
    assert.deepEqual(
      read.map((message) => message.json()),
      [1, 2],
    );
    assert.equal((await bus.topic("order").group("g").statistics()).lag, 2);
    assert.equal((await deadLettersOf(bus))[0]?.error, "spoilt");
    assert.equal((await bus.deadLetters.get("q:0")).message.text(), "a");
  } finally {
    await bus.close();
  }
  await owner.send(Work, 1);
  await owner.close();
});

test("a bus that only looks refuses whatever would change something, and consumes nothing", async (t) => {
  const directory = await temporaryDirectory(t);
  const owner = await owned(directory);
  const bus = await openBus(embedded({ directory, readOnly: true }));
  const handler = () => assert.fail("handled");
  try {
    const verbs: (() => unknown)[] = [
      () => bus.publish(Placed, 1),
      () => bus.publishMany(Placed, [1]),
      () => bus.send(command<number>("q"), 1),
      () => bus.sendMany(command<number>("q"), [1]),
      () => bus.on(Placed, { group: "g" }, handler),
      () => bus.handle(command("q"), handler),
      () => bus.queue("q").send("a"),
      () => bus.queue("q").consume(handler),
      () => collect(bus.queue("q").receive()),
      () => bus.queue("q").receiveBatch({ max: 1 }),
      () => bus.queue("q").purge(),
      () => bus.queue("fresh").declare(),
      () => bus.topic("order").publish("a"),
      () => bus.topic("order").group("g").consume(handler),
      () => bus.topic("order").group("g").receiveBatch({ max: 1 }),
      () => bus.topic("order").group("fresh").declare(),
      () => bus.topic("fresh").declare(),
      () => bus.deadLetters.replay({}),
      () => bus.deadLetters.discard({}),
    ];
    for (const [index, verb] of verbs.entries())
      await failsWith("READ_ONLY", verb).catch((error: unknown) => assert.fail(`verb ${index}: ${error}`));
    await bus.drain();
  } finally {
    await bus.close();
  }
  assert.equal((await owner.queue("q").statistics()).waiting, 1);
  assert.equal((await deadLettersOf(owner)).length, 1);
  await owner.close();
});
