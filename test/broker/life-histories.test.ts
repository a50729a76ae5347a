// Random changes of queues, topics and groups over many lives of a broker that is killed in the middle of them. Each
// change is there as a whole or not at all, and one that was confirmed, or refused, is known for sure.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import type { SeededRandom } from "../support/seeded-random.js";
import { systemError } from "../support/simulated-disk.js";

const SEEDS = 80;
const LIVES = 4;
const CHANGES = 8;

/** What can be seen of a queue, or of a topic and its group; as text, so that it can be compared. */
type Sight = string;

interface Change {
  readonly name: string;
  /** What is seen when it is done. */
  readonly after: Sight;
  run(broker: Broker): Promise<unknown>;
}

/** Something that changes one step after the other. */
interface Thing {
  readonly name: string;
  /** What may be seen: one thing, unless a crash came in the middle of a change. */
  possible: Set<Sight>;
  isChanging: boolean;
  see(broker: Broker): Sight;
  draw(now: Sight, random: SeededRandom): Change;
}

const ABSENT = "absent";

function queueThing(name: string): Thing {
  const to = { kind: "queue", name } as const;
  const bound = (broker: Broker): boolean => broker.bindings.some((binding) => binding.to.name === name);
  return {
    name,
    possible: new Set([ABSENT]),
    isChanging: false,
    see(broker) {
      const queue = broker.queue(name);
      if (queue === undefined) {
        assert.equal(bound(broker), false, `${name} left a binding`);
        return ABSENT;
      }
      return JSON.stringify([queue.count, queue.dispatcher.isPaused, bound(broker)]);
    },
    draw(now, random) {
      if (now === ABSENT)
        return {
          name: `declare ${name}`,
          after: JSON.stringify([0, false, false]),
          run: (broker) => broker.declareQueue(name),
        };
      const [count, isPaused, isBound] = JSON.parse(now) as [number, boolean, boolean];
      const pattern = `${name}.#`;
      return random.pick<Change>([
        { name: `delete ${name}`, after: ABSENT, run: (broker) => broker.deleteQueue(name) },
        {
          name: `pause ${name}`,
          after: JSON.stringify([count, true, isBound]),
          run: (broker) => broker.pauseQueue(name),
        },
        {
          name: `resume ${name}`,
          after: JSON.stringify([count, false, isBound]),
          run: (broker) => broker.resumeQueue(name),
        },
        {
          name: `bind ${name}`,
          after: JSON.stringify([count, isPaused, true]),
          run: (broker) => broker.bind({ to, pattern }),
        },
        {
          name: `send to ${name}`,
          after: JSON.stringify([count + 1, isPaused, isBound]),
          run: (broker) => broker.queue(name)!.append(message("x")).committed,
        },
      ]);
    },
  };
}

function topicThing(name: string): Thing {
  const GROUP = "group";
  return {
    name,
    possible: new Set([ABSENT]),
    isChanging: false,
    see(broker) {
      const topic = broker.topic(name);
      if (topic === undefined) return ABSENT;
      const group = topic.subscriptions.get(GROUP);
      const ends = topic.partitions.map(({ highWatermark }) => highWatermark);
      const starts = group?.dispatcher.states.map(({ watermark }) => watermark);
      return JSON.stringify([ends, starts ?? null, group?.dispatcher.isPaused ?? false]);
    },
    draw(now, random) {
      if (now === ABSENT)
        return {
          name: `declare ${name}`,
          after: JSON.stringify([[0, 0], null, false]),
          run: (broker) => broker.declareTopic(name, { partitions: 2 }),
        };
      const [ends, starts, isPaused] = JSON.parse(now) as [number[], number[] | null, boolean];
      const key = random.pick(["a", "b", "c", "d"]);
      const publish: Change = {
        name: `publish to ${name}`,
        after: JSON.stringify([ends.map((end) => end + 1), starts, isPaused]),
        run: async (broker) => {
          const topic = broker.topic(name)!;
          const appended: Promise<void>[] = [];
          broker.atomically(() => {
            for (const log of topic.partitions)
              appended.push(log.append(1, key, "x", message("x").headers).committed);
          });
          await Promise.all(appended);
        },
      };
      const remove: Change = {
        name: `delete ${name}`,
        after: ABSENT,
        run: (broker) => broker.deleteTopic(name),
      };
      if (starts === null) {
        const from = random.pick(["new", "beginning"] as const);
        return random.pick([
          publish,
          remove,
          {
            name: `declare the group of ${name}`,
            after: JSON.stringify([ends, from === "new" ? ends : ends.map(() => 0), false]),
            run: (broker) => broker.declareSubscription(name, GROUP, { from }),
          },
        ]);
      }
      const partition = random.below(2);
      const offset = random.below(ends[partition]! + 1);
      const moved = starts.map((start, index) => (index === partition ? offset : start));
      return random.pick<Change>([
        publish,
        remove,
        {
          name: `delete the group of ${name}`,
          after: JSON.stringify([ends, null, false]),
          run: (broker) => broker.deleteSubscription(name, GROUP),
        },
        {
          name: `move the group of ${name} to the beginning`,
          after: JSON.stringify([ends, ends.map(() => 0), isPaused]),
          run: (broker) => broker.seekSubscription(name, GROUP, "beginning"),
        },
        {
          name: `move the group of ${name} to the end`,
          after: JSON.stringify([ends, ends, isPaused]),
          run: (broker) => broker.seekSubscription(name, GROUP, "end"),
        },
        {
          name: `move the group of ${name} in one partition`,
          after: JSON.stringify([ends, moved, isPaused]),
          run: (broker) => broker.seekSubscription(name, GROUP, { offset, partition }),
        },
        {
          name: `pause the group of ${name}`,
          after: JSON.stringify([ends, starts, true]),
          run: (broker) => broker.pauseSubscription(name, GROUP),
        },
        {
          name: `resume the group of ${name}`,
          after: JSON.stringify([ends, starts, false]),
          run: (broker) => broker.resumeSubscription(name, GROUP),
        },
      ]);
    },
  };
}

/** Begins a change; what may be seen follows from how it ends. */
async function begin(thing: Thing, broker: Broker, random: SeededRandom, trace: string[]): Promise<void> {
  const [now] = thing.possible;
  const change = thing.draw(now!, random);
  thing.isChanging = true;
  thing.possible = new Set([now!, change.after]);
  trace.push(change.name);
  try {
    await change.run(broker);
    thing.possible = new Set([change.after]);
  } catch (error) {
    // Nobody knows what reached the disk, and nothing more is taken.
    if (isBrokerError(error, "STORAGE_FAILED")) {
      trace.push(`${change.name} failed`);
      return;
    }
    if (!isBrokerError(error, "DISK_FULL")) throw error;
    thing.possible = new Set([now!]);
    trace.push(`${change.name} was refused`);
  }
  thing.isChanging = false;
}

async function checkFiles(world: BrokerWorld, broker: Broker): Promise<void> {
  const names = await world.disk.list("data/logs");
  const count = (word: string): number => names.filter((name) => name.startsWith(`${word}.`)).length;
  assert.equal(count("queue"), [...broker.queues].length, `logs of queues: ${names.join(" ")}`);
  assert.equal(count("topic"), 2 * [...broker.topics].length, `logs of topics: ${names.join(" ")}`);
}

async function live(world: BrokerWorld, things: readonly Thing[], trace: string[]): Promise<void> {
  const { random } = world;
  const broker = await world.open();
  for (const thing of things) {
    const seen = thing.see(broker);
    assert.ok(thing.possible.has(seen), `${thing.name} is ${seen}, not ${[...thing.possible].join(" or ")}`);
    thing.possible = new Set([seen]);
    thing.isChanging = false;
  }
  let isOver = false;
  let isBroken = false;
  let syncsLeft = random.chance(0.25) ? random.below(12) : -1;
  world.disk.onOperation = ({ kind, path }) => {
    if (kind !== "sync" || syncsLeft-- !== 0) return undefined;
    isBroken = true;
    throw systemError("EIO", path);
  };
  const problems: unknown[] = [];
  for (let change = 0; change < CHANGES; change += 1) {
    const thing = random.pick(things);
    if (!thing.isChanging)
      begin(thing, broker, random, trace).catch((error: unknown) => {
        if (!isOver) problems.push(error);
      });
    if (random.chance(0.1)) world.disk.capacityBytes = 0;
    await world.turns(random.below(30));
    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  }
  assert.deepEqual(problems, []);
  world.disk.onOperation = () => undefined;
  if (!isBroken && random.chance(0.3)) {
    await world.quiet();
    assert.deepEqual(problems, []);
    for (const thing of things) assert.equal(thing.isChanging, false, `${thing.name} does not end`);
    await broker.close();
  }
  isOver = true;
  trace.push("the end of a life");
  world.crash(random.chance(0.5));
}

function isOfTheDisk(error: unknown): boolean {
  return (["DISK_FULL", "STORAGE_FAILED"] as const).some((code) => isBrokerError(error, code));
}

for (let part = 0; part < 4; part += 1) {
  test(`changes of queues and groups are whole over crashes, part ${part + 1}`, async () => {
    for (let seed = part; seed < SEEDS; seed += 4) {
      const world = new BrokerWorld(seed);
      const things = [queueThing("work"), queueThing("mail"), topicThing("order"), topicThing("stock")];
      const trace: string[] = [];
      try {
        for (let life = 0; life < LIVES; life += 1) await live(world, things, trace);
        const next = await world.open();
        await next.declareQueue("last");
        await next.close();
        const last = await world.open();
        await checkFiles(world, last);
        await last.close();
        const reported = world.reported.filter(({ error }) => !isOfTheDisk(error));
        assert.deepEqual(reported, []);
      } catch (error) {
        throw new Error(`seed ${seed}: ${trace.join(", ")}`, { cause: error });
      }
    }
  });
}
