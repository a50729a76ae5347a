// The parts of the mixed load that store messages: topics and groups, commands, delays, duplicates, transactions. Names,
// keys, ids and subjects are new ones all the time, so that whatever remembers them for ever is seen.

import { setTimeout as sleep } from "node:timers/promises";
import { ack, command, deadLetter, event } from "../../src/index.js";
import type { EmbeddedBus, Part, Tally } from "./mixed-load.js";

interface Item {
  readonly id: string;
  readonly filler: string;
}

const RETENTION = { bytes: 8 * 1024 * 1024 };
/** How often dead letters are looked after, in ticks. */
const CARE_TICKS = 100;
const FILLER = "a bit of everything that a bus does ".repeat(40);

/** Bodies of 20 to about 1,000 bytes. */
function item(kind: string, number: number): Item {
  const length = (Math.imul(number, 2_654_435_761) >>> 22) % 1_000;
  return { id: `${kind}-${number}`, filler: FILLER.slice(0, length) };
}

const numberOf = ({ id }: Item): number => Number(id.slice(id.lastIndexOf("-") + 1));

export async function storedParts(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part[]> {
  return [
    await events(bus, rate, tally),
    await work(bus, rate, tally),
    await delays(bus, rate, tally),
    await duplicates(bus, rate, tally),
    await transfers(bus, rate, tally),
    await priorities(bus, rate, tally),
    await routes(bus, rate, tally),
    await keptValues(bus, rate, tally),
    await readings(bus, rate, tally),
  ];
}

/** Four partitions, read by a group one by one, by one in order of keys, by one in batches, and by one with an inbox. */
async function events(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const Placed = event<Item>("orders.placed", { key: ({ id }) => id });
  await bus.topic("orders", { partitions: 4, retention: RETENTION }).declare();
  const count = () => {
    tally.handled += 1;
  };
  bus.on(Placed, { group: "plain" }, count);
  bus.on(Placed, { group: "keyed", orderBy: "key", concurrency: 4 }, async (order) => {
    if (numberOf(order) % 50 === 0) await sleep(5);
    count();
  });
  bus.on(Placed, { group: "batches", batch: { max: 20, wait: "20ms" } }, async (batch) =>
    batch.map(() => {
      count();
      return ack();
    }),
  );
  bus.on(Placed, { group: "once", inbox: { window: "30s", idsMax: 10_000 } }, count);
  let next = 0;
  return {
    name: "events",
    async tick() {
      const many = Array.from({ length: rate }, () => item("order", next++));
      await bus.publishMany(Placed, many);
      for (let one = 0; one < rate / 4; one += 1) await bus.publish(Placed, item("order", next++));
      tally.published += many.length + Math.ceil(rate / 4);
    },
  };
}

/** Some fail once, some always: those become dead letters, of which a few are replayed and the others discarded. */
async function work(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const Work = command<Item>("work");
  bus.handle(Work, { concurrency: 4, retry: { attempts: 3, delay: "50ms" } }, async (task, ctx) => {
    const number = numberOf(task);
    if (number % 100 === 7) throw new Error(`${task.id} cannot be done`);
    if (number % 100 === 8) return deadLetter("refused");
    if (number % 20 === 3 && ctx.attempt === 1) throw new Error("not at the first attempt");
    if (number % 30 === 0) await sleep(2);
    tally.handled += 1;
    return ack();
  });
  let next = 0;
  return {
    name: "work",
    async tick(tick) {
      for (let one = 0; one < rate; one += 1) await bus.send(Work, item("work", next++));
      tally.published += rate;
      if (tick % CARE_TICKS !== 0) return;
      await bus.deadLetters.replay({ source: "work", limit: 10 });
      await bus.deadLetters.discard({ source: "work" });
    },
  };
}

/** Delays up to half a minute, and messages that expire because nobody is there. */
async function delays(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const Later = command<Item>("later");
  bus.handle(Later, () => {
    tally.handled += 1;
  });
  const unread = bus.queue("unread");
  let next = 0;
  return {
    name: "delays",
    async tick(tick) {
      for (let one = 0; one < rate / 2; one += 1) {
        const delay = Math.imul(next, 40_503) % 30_000;
        await bus.send(Later, item("later", next++), { delay: Math.abs(delay) });
        await unread.send(`unread ${next}`, { expiresIn: 1_000 + Math.abs(delay) / 10 });
        tally.published += 2;
      }
      if (tick % CARE_TICKS === 0) await bus.deadLetters.discard({ source: "unread" });
    },
  };
}

/** One message in ten comes twice. */
async function duplicates(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const queue = bus.queue("once", { deduplicate: { window: "30s", idsMax: 10_000 } });
  await queue.declare();
  queue.consume(() => {
    tally.handled += 1;
  });
  let next = 0;
  return {
    name: "duplicates",
    async tick() {
      for (let one = 0; one < rate / 2; one += 1) {
        const id = `m-${next}`;
        await queue.send(`message ${next}`, { id });
        if (next % 10 === 0) await queue.send(`message ${next} again`, { id });
        next += 1;
        tally.published += 1;
      }
    },
  };
}

/** What a handler sends with its acknowledgement, and what is received and sent by hand as one. */
async function transfers(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const Transfer = command<Item>("transfer");
  const Credit = command<Item>("credit");
  const Moved = event<Item>("moved.done", { key: ({ id }) => id });
  await bus.topic("moved", { retention: RETENTION }).declare();
  const count = () => {
    tally.handled += 1;
  };
  bus.handle(Transfer, async (transfer, ctx) => {
    await ctx.send(Credit, transfer);
    await ctx.publish(Moved, transfer);
  });
  bus.handle(Credit, count);
  bus.on(Moved, { group: "books" }, count);
  const pairs = bus.queue("pairs");
  let next = 0;
  return {
    name: "transfers",
    async tick() {
      for (let one = 0; one < rate / 4; one += 1) await bus.send(Transfer, item("transfer", next++));
      await pairs.sendMany(["one", "two"]);
      const [first, second] = await pairs.receiveBatch({ max: 2, wait: 100 });
      await bus.transaction(async (tx) => {
        await tx.send(Credit, item("pair", next++));
        if (first !== undefined) tx.ack(first);
        if (second !== undefined) tx.ack(second);
      });
      tally.published += Math.ceil(rate / 4) + 3;
    },
  };
}

async function priorities(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const queue = bus.queue("urgent", { priorities: 3 });
  await queue.declare();
  queue.consume({ concurrency: 2 }, () => {
    tally.handled += 1;
  });
  let next = 0;
  return {
    name: "priorities",
    async tick() {
      for (let one = 0; one < rate / 4; one += 1) {
        await queue.send(`message ${next}`, { priority: next % 3 });
        next += 1;
        tally.published += 1;
      }
    },
  };
}

/** Through an exchange, to a subject that is new each time. */
async function routes(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const exchange = bus.exchange("routes", { kind: "topic" });
  const queue = bus.queue("routed");
  await exchange.bind(queue, { pattern: "site.*.opened" });
  queue.consume(() => {
    tally.handled += 1;
  });
  let next = 0;
  return {
    name: "routes",
    async tick() {
      for (let one = 0; one < rate / 4; one += 1) {
        await exchange.publish(`site.${next}.opened`, `site ${next}`);
        next += 1;
        tally.published += 1;
      }
    },
  };
}

/** The last values of five hundred sensors, retained, and in a topic that keeps the last of each key. */
async function keptValues(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const sensors = bus.topic("sensors", { retention: RETENTION });
  const state = bus.topic("state", { compact: true });
  let next = 0;
  return {
    name: "kept values",
    async tick() {
      for (let one = 0; one < rate / 4; one += 1) {
        const name = next % 500;
        await sensors.publish(`${next}`, { subject: `sensors.s${name}`, retain: true });
        await state.publish(FILLER.slice(0, 500), { key: `k${name}` });
        next += 1;
        tally.published += 2;
      }
    },
  };
}

/** A producer that awaits nothing. */
async function readings(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part> {
  const Taken = event<Item>("readings.taken", { key: ({ id }) => id.slice(-2) });
  await bus.topic("readings", { partitions: 2, retention: RETENTION }).declare();
  bus.on(Taken, { group: "sums", prefetch: 500 }, () => {
    tally.handled += 1;
  });
  const producer = bus.producer(Taken, { linger: "5ms" });
  let next = 0;
  return {
    name: "readings",
    async tick() {
      for (let one = 0; one < rate * 2; one += 1) producer.enqueue(item("reading", next++));
      tally.published += rate * 2;
    },
    close: () => producer.close(),
  };
}
