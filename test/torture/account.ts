// What the parent heard over all lives, and the rules that it must keep.

import { BURYING, CONSUMERS_OF, isPoison, KEYS, MOVING, numberOf, type Route } from "./workload.js";

interface Acknowledged {
  readonly route: Route;
  readonly partition: number;
  readonly offset: number;
}

const PROBLEMS_KEPT = 20;

export class Account {
  readonly acknowledged = new Map<string, Acknowledged>();
  /** How often each consumer handled each message. */
  readonly handled = new Map<string, Map<string, number>>();
  readonly problems: string[] = [];
  problemCount = 0;
  /** Deliveries of what had been handled before. */
  repeated = 0;
  readonly #sent = new Map<string, Route>();
  /** The last number that each key's lane handled for the first time. */
  readonly #lanes = new Map<string, { life: number; number: number }>();

  /** Takes one line of the victim in its life. */
  hear(life: number, line: string): void {
    const [kind, ...words] = line.split(" ");
    if (kind === "T") this.#heardSending(life, words);
    else if (kind === "A") this.#heardReceipt(life, words);
    else if (kind === "H") this.#heardHandled(words);
    else if (kind === "E") this.problem(`life ${life}: ${words.join(" ")}`);
    else if (kind !== "R" && kind !== "D") this.problem(`life ${life} said: ${line}`);
  }

  /** Ids that `consumer` should have and has not handled. */
  unhandled(): string[] {
    const missing: string[] = [];
    for (const [id, { route }] of this.acknowledged) {
      for (const consumer of CONSUMERS_OF[route]) {
        if (isPoison(id) && BURYING.has(consumer)) continue;
        if (this.handled.get(consumer)?.has(id) !== true) missing.push(`${id} by ${consumer}`);
      }
    }
    return missing;
  }

  /** Acknowledged poison of `consumer`, sorted. */
  poisonOf(consumer: string): string[] {
    const ids = [...this.acknowledged].filter(([, { route }]) => CONSUMERS_OF[route].includes(consumer));
    return ids
      .map(([id]) => id)
      .filter(isPoison)
      .sort();
  }

  wasSent(id: string, consumer: string): boolean {
    const route = this.#sent.get(id);
    return route !== undefined && CONSUMERS_OF[route].includes(consumer);
  }

  wasSentOn(id: string, routes: ReadonlySet<Route>): boolean {
    const route = this.#sent.get(id);
    return route !== undefined && routes.has(route);
  }

  /** Whether `id` may, or when it was acknowledged must, be in the ledgers. */
  isMovable(id: string): boolean {
    return this.wasSentOn(id, MOVING) && !(this.#sent.get(id) === "transfers" && isPoison(id));
  }

  /** Keeps the first few, so that a broken run can be read. */
  problem(text: string): void {
    this.problemCount += 1;
    if (this.problems.length < PROBLEMS_KEPT) this.problems.push(text);
  }

  #heardSending(life: number, [route, first, last]: string[]): void {
    for (let number = Number(first); number <= Number(last); number += 1)
      this.#sent.set(`${life}.${number}`, route as Route);
  }

  #heardReceipt(life: number, [route, number, partition, offset]: string[]): void {
    const id = `${life}.${number}`;
    this.acknowledged.set(id, {
      route: route as Route,
      partition: Number(partition),
      offset: Number(offset),
    });
  }

  #heardHandled([consumer = "", id = "", partition, offset]: string[]): void {
    if (!this.wasSent(id, consumer)) this.problem(`${consumer} handled ${id}, which was never sent to it`);
    const receipt = this.acknowledged.get(id);
    if (
      receipt !== undefined &&
      (receipt.partition !== Number(partition) || receipt.offset !== Number(offset))
    ) {
      this.problem(
        `${consumer} got ${id} from ${partition}@${offset}, its receipt says ${receipt.partition}@${receipt.offset}`,
      );
    }
    const counts = this.handled.get(consumer) ?? new Map<string, number>();
    this.handled.set(consumer, counts.set(id, (counts.get(id) ?? 0) + 1));
    if (counts.get(id) === 1) this.#handledFirst(consumer, id);
    else this.repeated += 1;
  }

  /** A lane may repeat what a crash made doubtful, but may never go back to what it had left out. */
  #handledFirst(consumer: string, id: string): void {
    if (consumer !== "orders/laned") return;
    const at = numberOf(id);
    const key = String(at.number % KEYS);
    const last = this.#lanes.get(key);
    if (last !== undefined && (at.life < last.life || (at.life === last.life && at.number < last.number))) {
      this.problem(`the lane of key ${key} handled ${id} after ${last.life}.${last.number}`);
    }
    this.#lanes.set(key, at);
  }
}
