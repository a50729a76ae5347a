// The process that is killed. Publishes, sends, handles and pulls as fast as it can, and tells its parent each thing
// after it is true, with one synchronous write to a pipe:
//   T route first last                        it is about to send these numbers
//   A route number partition offset           the receipt is there
//   H consumer id partition offset            the handler did its work; not acknowledged yet
//   E text                                    something that must never happen
//   R | D                                     ready: handlers are registered | drained: nothing is left

import { writeSync } from "node:fs";
import {
  type Bus,
  deadLetter,
  type EmbeddedCapabilities,
  embedded,
  type HandlerContext,
  openBus,
  type Receipt,
  type Transaction,
} from "../../src/index.js";
import {
  Credit,
  Debit,
  failsFirst,
  type Item,
  isIntact,
  isPoison,
  itemOf,
  Measured,
  Moved,
  Ordered,
  type Route,
  SUMS,
  Transfer,
  Work,
  workMsOf,
} from "./workload.js";

const [directory = "", lifeText = "", mode = ""] = process.argv.slice(2);
const life = Number(lifeText);

class Poisoned extends Error {}

/** A crash counts as an attempt of all that was in flight: only poison may run out of them. */
const ATTEMPTS_MAX = 1_000;
const QUICK_RETRY = {
  attempts: ATTEMPTS_MAX,
  delay: "2ms",
  backoff: "fixed",
  jitter: 0,
  errors: [{ error: Poisoned, use: { attempts: 3 } }],
} as const;
let lastNumber = 0;

function tell(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let written = 0; written < bytes.length; ) written += writeSync(1, bytes, written);
}

function handled(
  consumer: string,
  item: Item,
  message: { partition: number | undefined; offset: number },
): void {
  if (!isIntact(item)) tell(`E ${consumer} got a changed body: ${JSON.stringify(item).slice(0, 200)}`);
  tell(`H ${consumer} ${item.id} ${message.partition ?? 0} ${message.offset}`);
}

/** Works for a while on some, fails the first attempt of others, and all attempts of poison where it `buries`. */
function handler(consumer: string, buries: boolean): (item: Item, ctx: HandlerContext) => Promise<void> {
  return async (item, ctx) => {
    await work(item);
    if (buries && isPoison(item.id)) throw new Poisoned(item.id);
    if (failsFirst(item.id) && ctx.attempt === 1) throw new Error("the first attempt fails");
    handled(consumer, item, ctx.message);
  };
}

/** So that something is in work at any instant. */
async function work(item: Item): Promise<void> {
  const workMs = workMsOf(item.id);
  if (workMs > 0) await new Promise((resolve) => setTimeout(resolve, workMs));
}

async function register(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  const beginning = { from: "beginning" } as const;
  await bus.topic("orders", { partitions: 3 }).declare();
  await bus.queue("raw", { attemptsMax: ATTEMPTS_MAX }).declare();
  await bus.queue("pairs", { attemptsMax: ATTEMPTS_MAX }).declare();
  const handlings = [
    bus.on(Ordered, { ...beginning, group: "fast", concurrency: 16, retry: QUICK_RETRY }, (item, ctx) => {
      handled("orders/fast", item, ctx.message);
    }),
    bus.on(
      Ordered,
      { ...beginning, group: "laned", concurrency: 8, orderBy: "key", onRetry: "block", retry: QUICK_RETRY },
      handler("orders/laned", false),
    ),
    bus.on(
      Ordered,
      { ...beginning, group: "flaky", concurrency: 8, retry: QUICK_RETRY },
      handler("orders/flaky", true),
    ),
    bus.on(
      Measured,
      { ...beginning, group: "sums", concurrency: 4, retry: QUICK_RETRY },
      async (item, ctx) => {
        await ctx.queue(SUMS).send(item.id);
        await handler("metrics/sums", false)(item, ctx);
      },
    ),
    bus.handle(Work, { concurrency: 8, retry: QUICK_RETRY }, (item, ctx) => {
      if (isPoison(item.id)) return deadLetter(`poison ${item.id}`);
      return handler("work", false)(item, ctx);
    }),
    bus.handle(Transfer, { concurrency: 4, retry: QUICK_RETRY }, async (item, ctx) => {
      await move(ctx, item);
      // What a failed attempt has sent must never be seen.
      await handler("transfers", true)(item, ctx);
    }),
  ];
  await Promise.all(handlings.map((handling) => handling.ready));
  void pull(bus);
  void pullPairs(bus);
}

/** One of each ledger, as one. */
async function move(
  outputs: Pick<Transaction<EmbeddedCapabilities>, "send" | "publish">,
  item: Item,
): Promise<void> {
  await outputs.send(Debit, item);
  await outputs.publish(Moved, item);
  await outputs.send(Credit, item);
}

/** Settles in another order than it received. */
async function pull(bus: Bus): Promise<void> {
  for await (const delivery of bus.queue("raw").receive({ prefetch: 20 })) {
    const item = delivery.message.json<Item>();
    void work(item).then(() => {
      handled("raw", item, delivery.message);
      return delivery.ack();
    });
  }
}

/** Acknowledges what it received in one step with what it sends. */
async function pullPairs(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  for await (const delivery of bus.queue("pairs").receive({ prefetch: 20 })) {
    const item = delivery.message.json<Item>();
    handled("pairs", item, delivery.message);
    void bus.transaction(async (tx) => {
      tx.ack(delivery);
      await work(item);
      await move(tx, item);
    });
  }
}

/** Takes the next numbers, sends them, and tells the receipts. */
async function send(
  route: Route,
  count: number,
  store: (items: readonly Item[]) => Promise<readonly Receipt[]>,
): Promise<void> {
  const first = lastNumber + 1;
  lastNumber += count;
  tell(`T ${route} ${first} ${first + count - 1}`);
  const items = Array.from({ length: count }, (_, index) => itemOf(life, first + index));
  const receipts = await store(items);
  const lines = receipts.map(
    ({ partition, offset }, index) => `A ${route} ${first + index} ${partition ?? 0} ${offset}`,
  );
  tell(lines.join("\n"));
}

/** Transactions give no receipt: that it is stored is all that is known. */
async function sendDirect(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  lastNumber += 1;
  const number = lastNumber;
  tell(`T direct ${number} ${number}`);
  await bus.transaction((tx) => move(tx, itemOf(life, number)));
  tell(`A direct ${number} 0 0`);
}

/** Several of each kind are under way at any time. */
async function produce(bus: Bus<EmbeddedCapabilities>): Promise<void> {
  const raw = bus.queue("raw");
  const pairs = bus.queue("pairs");
  const forever = async (step: (round: number) => Promise<void>): Promise<void> => {
    for (let round = 0; ; round += 1) await step(round);
  };
  await Promise.all([
    forever(() => send("orders", 1, async ([item]) => [await bus.publish(Ordered, item!)])),
    forever((round) => send("orders", 1 + (round % 30), (items) => bus.publishMany(Ordered, items))),
    forever((round) => send("metrics", 1 + (round % 7), (items) => bus.publishMany(Measured, items))),
    forever((round) =>
      send("work", 1 + (round % 5), (items) =>
        bus.sendMany(Work, items, round % 4 === 0 ? { delay: "15ms" } : {}),
      ),
    ),
    forever((round) => send("transfers", 1 + (round % 4), (items) => bus.sendMany(Transfer, items))),
    forever(() => send("pairs", 1, async ([item]) => [await pairs.send(JSON.stringify(item))])),
    forever(() => sendDirect(bus)),
    forever((round) =>
      send("raw", 1 + (round % 3), (items) => raw.sendMany(items.map((item) => JSON.stringify(item)))),
    ),
  ]);
}

const CONSUMED_QUEUES = new Set(["work", "raw", "transfers", "pairs"]);

async function unsettled(bus: Bus): Promise<number> {
  const { queues, topics } = await bus.statistics();
  const own = queues.filter(({ name }) => CONSUMED_QUEUES.has(name));
  const inQueues = own.reduce((sum, { waiting, inFlight, delayed }) => sum + waiting + inFlight + delayed, 0);
  const groups = topics.flatMap((topic) => topic.groups);
  return groups.reduce((sum, { lag, inFlight, delayed }) => sum + lag + inFlight + delayed, inQueues);
}

const bus = await openBus(embedded({ directory }), {
  onError: (error, where) =>
    tell(`E ${where}: ${error instanceof Error ? error.stack : String(error)}`.replaceAll("\n", " | ")),
});
await register(bus);
tell("R");
if (mode === "drain") {
  while ((await unsettled(bus)) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await bus.close();
  tell("D");
  process.exit(0);
}
await produce(bus);
