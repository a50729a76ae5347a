// What one message costs as more is there: a longer backlog, more queues, more subscriptions. Costs are microseconds of the
// processor, which hardly depend on what else the machine does.

import type { LiveSubscription } from "../../src/index.js";
import { BATCH, BODIES, BODY, fill, openDurable, paceOf, processorSeconds, usedBytes } from "./meters.js";

/** What is measured at one point of a curve. */
export interface GrowthPoint {
  readonly curve: string;
  /** How many there are. */
  readonly count: number;
  /** For one message: sent, or sent and handled. */
  readonly processorUs: number;
  /** Of memory, for each that is there; where that is measured. */
  readonly bytesEach?: number;
}

/** Each cost is the median of so many. */
const SAMPLES = 9;
const BACKLOG_ROUNDS = 25;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Publishing, and receiving and settling at the front, while so many wait. */
export async function byBacklog(directory: string, counts: readonly number[]): Promise<GrowthPoint[]> {
  const bus = await openDurable(directory);
  const queue = bus.queue("backlog");
  const points: GrowthPoint[] = [];
  let waiting = 0;
  /** Seconds of the processor for one message. */
  const through = async (rounds: number): Promise<{ sending: number; handling: number }> => {
    let sending = 0;
    let handling = 0;
    for (let index = 0; index < rounds; index += 1) {
      const beganSeconds = processorSeconds();
      await queue.sendMany(BODIES);
      const sentSeconds = processorSeconds();
      for (let received = 0; received < BATCH; ) {
        const deliveries = await queue.receiveBatch({ max: BATCH - received, wait: "10s" });
        for (const delivery of deliveries) await delivery.ack();
        received += deliveries.length;
      }
      sending += sentSeconds - beganSeconds;
      handling += processorSeconds() - sentSeconds;
    }
    return { sending: sending / rounds / BATCH, handling: handling / rounds / BATCH };
  };
  await through(4 * BACKLOG_ROUNDS);
  for (const count of counts) {
    await fill(queue, count - waiting);
    waiting = count;
    await through(BACKLOG_ROUNDS);
    const samples: { sending: number; handling: number }[] = [];
    for (let index = 0; index < SAMPLES; index += 1) samples.push(await through(BACKLOG_ROUNDS));
    const add = (what: string, of: (sample: { sending: number; handling: number }) => number) =>
      points.push({ curve: `waiting messages: ${what}`, count, processorUs: 1e6 * median(samples.map(of)) });
    add("send", ({ sending }) => sending);
    add("receive and settle", ({ handling }) => handling);
  }
  await bus.close();
  return points;
}

const QUEUE_MESSAGES = 30_000;
const QUEUE_DEPTH = 1_000;
const DECLARED_AT_ONCE = 500;

/** Sending and handling, to one of the queues and to all in turn, a thousand messages under way. */
export async function byQueues(directory: string, count: number): Promise<GrowthPoint[]> {
  const bus = await openDurable(directory);
  const emptyBytes = await usedBytes();
  const queues = Array.from({ length: count }, (_, index) => bus.queue(`queue-${index}`));
  for (let from = 0; from < count; from += DECLARED_AT_ONCE)
    await Promise.all(queues.slice(from, from + DECLARED_AT_ONCE).map((queue) => queue.declare()));
  const bytesEach = ((await usedBytes()) - emptyBytes) / count;
  let handled = 0;
  await Promise.all(
    queues.map(
      (queue) =>
        queue.consume(() => {
          handled += 1;
        }).ready,
    ),
  );
  const through = async (messages: number, queueOf: (number: number) => number): Promise<number> => {
    handled = 0;
    let next = 0;
    const { processorUs } = await paceOf(messages, async () => {
      const one = async (): Promise<void> => {
        while (next < messages) await queues[queueOf(next++)]!.send(BODY);
      };
      await Promise.all(Array.from({ length: QUEUE_DEPTH }, one));
      while (handled < messages) await new Promise((resolve) => setImmediate(resolve));
    });
    return processorUs;
  };
  const toOne = () => 0;
  const toAll = (number: number) => number % count;
  const cost = async (queueOf: (number: number) => number): Promise<number> => {
    for (let index = 0; index < 3; index += 1) await through(QUEUE_MESSAGES, queueOf);
    const samples: number[] = [];
    for (let index = 0; index < SAMPLES; index += 1) samples.push(await through(QUEUE_MESSAGES, queueOf));
    return median(samples);
  };
  const one = await cost(toOne);
  const all = await cost(toAll);
  await bus.close();
  return [
    { curve: "queues: send and handle at one of them", count, processorUs: one, bytesEach },
    { curve: "queues: send and handle at all in turn", count, processorUs: all },
  ];
}

export type SubscriptionKind = "live subscriptions" | "bindings" | "groups";

const PUBLISHED = 30_000;
const HOT_SUBJECTS = 100;
const PUBLISHED_AT_ONCE = 1_000;

/** Makes so many of a kind for the topic `site`, each for a subject of its own. */
const makers: Readonly<
  Record<SubscriptionKind, (bus: Awaited<ReturnType<typeof openDurable>>, count: number) => Promise<void>>
> = {
  async "live subscriptions"(bus, count) {
    const open: LiveSubscription[] = [];
    for (let index = 0; index < count; index += 1)
      open.push(bus.subscribe(`site.${index}.opened`, { buffer: 1 }));
  },
  async bindings(bus, count) {
    const queue = bus.queue("bound", { countMax: 1_000, overflow: "drop-oldest" });
    await queue.declare();
    const exchange = bus.exchange("");
    for (let from = 0; from < count; from += DECLARED_AT_ONCE) {
      const size = Math.min(DECLARED_AT_ONCE, count - from);
      await Promise.all(
        Array.from({ length: size }, (_, index) =>
          exchange.bind(queue, { pattern: `site.${from + index}.opened` }),
        ),
      );
    }
  },
  async groups(bus, count) {
    const topic = bus.topic("site");
    for (let from = 0; from < count; from += DECLARED_AT_ONCE) {
      const size = Math.min(DECLARED_AT_ONCE, count - from);
      await Promise.all(
        Array.from({ length: size }, (_, index) => topic.group(`group-${from + index}`).declare()),
      );
    }
  },
};

/**
 * Publishing to a hundred of the subjects, and to any of them, at random. Groups have no consumers: with them a message
 * is handed to each group.
 */
export async function bySubscriptions(
  directory: string,
  kind: SubscriptionKind,
  count: number,
): Promise<GrowthPoint[]> {
  const bus = await openDurable(directory);
  const site = bus.exchange("");
  await bus.topic("site", { bind: ["site.#"] }).declare();
  const emptyBytes = await usedBytes();
  await makers[kind](bus, count);
  const bytesEach = ((await usedBytes()) - emptyBytes) / count;
  let seed = 1;
  const publish = async (subjects: number): Promise<void> => {
    let left = PUBLISHED;
    const one = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        await site.publish(`site.${seed % subjects}.opened`, BODY);
      }
    };
    await Promise.all(Array.from({ length: PUBLISHED_AT_ONCE }, one));
  };
  const cost = async (subjects: number): Promise<number> => {
    for (let index = 0; index < 3; index += 1) await publish(subjects);
    const samples: number[] = [];
    for (let index = 0; index < SAMPLES; index += 1)
      samples.push((await paceOf(PUBLISHED, () => publish(subjects))).processorUs);
    return median(samples);
  };
  const hot = await cost(Math.min(HOT_SUBJECTS, count));
  const any = await cost(count);
  await bus.close();
  const points: GrowthPoint[] = [
    { curve: `${kind}, a hundred subjects`, count, processorUs: hot, bytesEach },
  ];
  if (kind !== "groups") points.push({ curve: `${kind}, any subject`, count, processorUs: any });
  return points;
}
