// What must be true of the data directory when the last life has drained it. Every breach is told to the account.

import { type Bus, openBus } from "../../src/index.js";
import type { Account } from "./account.js";
import { BURYING, type Item, LEDGERS, SUMS } from "./workload.js";

/** What lies there in the end. */
export interface Remains {
  /** Messages that were moved as one, counted once. */
  readonly moved: number;
  readonly deadLetters: number;
}

export async function checkRemains(directory: string, account: Account): Promise<Remains> {
  const missing = account.unhandled();
  for (const each of missing) account.problem(`acknowledged and never handled: ${each}`);
  const bus = await openBus(directory);
  try {
    const deadLetters = await checkDeadLetters(bus, account);
    for (const topic of ["orders", "metrics"] as const) await checkReceipts(bus, account, topic);
    await checkSums(bus, account);
    return { moved: await checkLedgers(bus, account), deadLetters };
  } finally {
    await bus.close();
  }
}

/** Each poison of a consumer that buries is there once, and nothing else is. */
async function checkDeadLetters(bus: Bus, account: Account): Promise<number> {
  const idsBySource = new Map<string, string[]>();
  let count = 0;
  for await (const { source, message } of bus.deadLetters.list()) {
    count += 1;
    const { id } = message.json<Item>();
    if (!account.wasSent(id, source)) account.problem(`${source} buried ${id}, which was never sent to it`);
    idsBySource.set(source, [...(idsBySource.get(source) ?? []), id]);
  }
  for (const source of new Set([...BURYING, ...idsBySource.keys()])) {
    const ids = idsBySource.get(source) ?? [];
    const once = new Set(ids);
    if (!BURYING.has(source)) account.problem(`${source} buried ${ids.length} messages and has no poison`);
    if (once.size < ids.length) account.problem(`${source} buried ${ids.length - once.size} messages twice`);
    for (const id of account.poisonOf(source))
      if (!once.has(id)) account.problem(`${source} did not bury its poison ${id}`);
  }
  return count;
}

async function checkReceipts(bus: Bus, account: Account, topic: "orders" | "metrics"): Promise<void> {
  const places = new Map<string, string>();
  for await (const { item, place } of stored(bus, topic)) {
    if (places.has(item.id)) account.problem(`${item.id} is stored twice in ${topic}`);
    places.set(item.id, place);
  }
  for (const [id, { route, partition, offset }] of account.acknowledged) {
    const promised = `${partition}@${offset}`;
    if (route === topic && places.get(id) !== promised)
      account.problem(`the receipt of ${id} says ${topic} ${promised}, it is at ${places.get(id)}`);
  }
}

/** What a handler sends is there once for each message that it has settled, however often it ran. */
async function checkSums(bus: Bus, account: Account): Promise<void> {
  const due = new Set<string>();
  for await (const { item } of stored(bus, "metrics")) due.add(item.id);
  for await (const message of bus.queue(SUMS).browse()) {
    if (!due.delete(message.text()))
      account.problem(`the output of ${message.text()} is there twice, or of nothing`);
  }
  for (const id of due) account.problem(`the output of ${id} is missing`);
}

/** All or nothing, and once: what one transaction moved is in every ledger exactly once, or in none. */
async function checkLedgers(bus: Bus, account: Account): Promise<number> {
  const counts = new Map<string, [debits: number, credits: number, moved: number]>();
  const add = (id: string, ledger: 0 | 1 | 2): void => {
    const found = counts.get(id) ?? [0, 0, 0];
    found[ledger] += 1;
    counts.set(id, found);
  };
  for await (const message of bus.queue(LEDGERS.debits).browse()) add(message.json<Item>().id, 0);
  for await (const message of bus.queue(LEDGERS.credits).browse()) add(message.json<Item>().id, 1);
  for await (const { item } of stored(bus, LEDGERS.moved)) add(item.id, 2);
  for (const [id, [debits, credits, moved]] of counts) {
    if (debits !== 1 || credits !== 1 || moved !== 1)
      account.problem(`${id} was moved in part: ${debits} debits, ${credits} credits, ${moved} moved`);
    if (!account.isMovable(id)) account.problem(`${id} was moved and should not have been`);
  }
  for (const id of account.acknowledged.keys())
    if (account.isMovable(id) && !counts.has(id)) account.problem(`${id} was acknowledged and not moved`);
  return counts.size;
}

async function* stored(bus: Bus, topic: string): AsyncGenerator<{ item: Item; place: string }> {
  const { partitions } = await bus.topic(topic).statistics();
  for (const { partition } of partitions) {
    for await (const message of bus.topic(topic).read({ partition, from: "beginning" }))
      yield { item: message.json<Item>(), place: `${partition}@${message.offset}` };
  }
}
