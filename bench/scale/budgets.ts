// A million distinct keys, subjects and ids: the memory that remembers them, beside what was configured.

import { embedded, isBrokerError, openBus } from "../../src/index.js";
import { BODY, usedBytes } from "./meters.js";

const COUNT = 1_000_000;
const AT_ONCE = 1_000;

export interface Budget {
  readonly what: string;
  readonly budget: string;
  readonly count: number;
  /** Objects and buffers that the million has left in memory. */
  readonly bytes: number;
  readonly refused: number;
}

export type BudgetName =
  | "ids"
  | "ids, fewer"
  | "inbox"
  | "keys"
  | "subjects"
  | "live subjects"
  | "retained"
  | "retained, more";

type Bus = Awaited<ReturnType<typeof openBudgeted>>;

function openBudgeted(directory: string, retainedMax?: number) {
  const cacheBytes = 1024 * 1024;
  return openBus(embedded({ directory, cacheBytes, ...(retainedMax === undefined ? {} : { retainedMax }) }));
}

/** How one of them is done, a number at a time; `undefined` when all of its work is over with the promise. */
interface Way {
  readonly what: string;
  readonly budget: string;
  readonly retainedMax?: number;
  prepare(
    bus: Bus,
  ): Promise<{ readonly one: (number: number) => Promise<unknown>; readonly isDone?: () => boolean }>;
}

const ways: Readonly<Record<BudgetName, Way>> = {
  ids: {
    what: "ids of a queue that finds duplicates",
    budget: "idsMax 1,000,000",
    prepare: (bus) => withIds(bus, COUNT),
  },
  "ids, fewer": {
    what: "ids of a queue that finds duplicates",
    budget: "idsMax 100,000",
    prepare: (bus) => withIds(bus, 100_000),
  },
  inbox: {
    what: "ids that a queue with an inbox has handled",
    budget: "idsMax 100,000",
    async prepare(bus) {
      const queue = bus.queue("inbox", { inbox: { window: "1h", idsMax: 100_000 } });
      await queue.declare();
      const isDone = counted((count) => queue.consume({ prefetch: AT_ONCE }, count));
      return { one: (number) => queue.send(BODY, { id: `id-${number}` }), isDone };
    },
  },
  keys: {
    what: "keys of a queue whose handler keeps their order",
    budget: "10,000 in line (LANE_WAITING_MAX)",
    async prepare(bus) {
      const queue = bus.queue("keys");
      const isDone = counted((count) => queue.consume({ prefetch: AT_ONCE, orderBy: "key" }, count));
      return { one: (number) => queue.send(BODY, { key: `key-${number}` }), isDone };
    },
  },
  subjects: {
    what: "subjects that lead from an exchange to a queue",
    budget: "10,000 routes (ROUTES_MAX)",
    async prepare(bus) {
      const exchange = bus.exchange("routes");
      const queue = bus.queue("routed");
      await exchange.bind(queue, { pattern: "site.*.opened" });
      const isDone = counted((count) => queue.consume({ prefetch: AT_ONCE }, count));
      return { one: (number) => exchange.publish(`site.${number}.opened`, BODY), isDone };
    },
  },
  "live subjects": {
    what: "subjects of a topic that somebody looks on at",
    budget: "10,000 routes (ROUTES_MAX)",
    async prepare(bus) {
      bus.subscribe("site.*.opened", { buffer: 10 });
      const topic = bus.topic("site", { retention: { bytes: 16 * 1024 * 1024 } });
      return { one: (number) => topic.publish(BODY, { subject: `site.${number}.opened` }) };
    },
  },
  retained: {
    what: "subjects with a retained message",
    budget: "retainedMax 100,000",
    prepare: retaining,
  },
  "retained, more": {
    what: "subjects with a retained message",
    budget: "retainedMax 1,000,000",
    retainedMax: COUNT,
    prepare: retaining,
  },
};

export const BUDGETS = Object.keys(ways) as BudgetName[];

async function withIds(bus: Bus, idsMax: number) {
  const queue = bus.queue("ids", { deduplicate: { window: "1h", idsMax } });
  await queue.declare();
  return { one: (number: number) => queue.send(BODY, { id: `id-${number}` }) };
}

async function retaining(bus: Bus) {
  const topic = bus.topic("site", { retention: { bytes: 16 * 1024 * 1024 } });
  return {
    one: (number: number) => topic.publish(BODY, { subject: `site.${number}.opened`, retain: true }),
  };
}

/** Whether as many were handled as there are to be. */
function counted(consume: (count: () => void) => unknown): () => boolean {
  let handled = 0;
  consume(() => {
    handled += 1;
  });
  return () => handled >= COUNT;
}

export async function budget(directory: string, name: BudgetName): Promise<Budget> {
  const way = ways[name];
  const bus = await openBudgeted(directory, way.retainedMax);
  const { one, isDone = () => true } = await way.prepare(bus);
  let refused = 0;
  const run = async (from: number, to: number): Promise<void> => {
    let next = from;
    const some = async (): Promise<void> => {
      while (next < to) {
        try {
          await one(next++);
        } catch (error) {
          if (!isBrokerError(error, "RETAINED_FULL")) throw error;
          refused += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, some));
  };
  // Compiled code and buffers that are used again are not memory of what is distinct.
  await run(0, COUNT / 100);
  const before = await usedBytes();
  await run(COUNT / 100, COUNT);
  while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 10));
  const bytes = (await usedBytes()) - before;
  await bus.close();
  return { what: way.what, budget: way.budget, count: COUNT, bytes, refused };
}
