// What the parent heard from the shop's processes: which orders were acknowledged, who handled what, how often.

import { runOf } from "./orders.js";
import type { Report } from "./reports.js";
import { CONSUMERS, type Consumer } from "./shop-types.js";

/** Where a message of one order is with one consumer, as far as was heard. */
type State = "in work" | "to be retried" | "dead" | "done";

interface Place {
  state: State;
  /** Which process had it last, counted from 1. */
  process: number;
}

/** What one consumer did. */
export interface ConsumerTally {
  /** Different orders that were handled to the end. */
  handled: number;
  /** Attempts that failed and were followed by another. */
  retried: number;
  /** Deliveries of what a killed process had in work or had not yet settled on disk. */
  redelivered: number;
  /** Messages that became dead letters. */
  deadLettered: number;
  /** Dead letters that were handed out again. */
  replayed: number;
}

export class Tally {
  readonly consumers: Readonly<Record<Consumer, ConsumerTally>>;
  /** Orders 1 to this one were acknowledged to the parent. */
  acknowledged: number;
  /** Orders that were placed again, and known by their ids. */
  known: number;
  /** Processes of the shop that were started. */
  processes: number;
  /** Deliveries that were handled for orders of earlier runs, which were interrupted. */
  leftOver: number;
  private readonly run: string;
  private readonly places: Readonly<Record<Consumer, Map<string, Place>>>;
  private readonly inWork: Set<string>;

  /** Counts for the orders of `run`; those of other runs are what was left over. */
  constructor(run: string) {
    this.run = run;
    this.leftOver = 0;
    this.consumers = perConsumer(() => ({
      handled: 0,
      retried: 0,
      redelivered: 0,
      deadLettered: 0,
      replayed: 0,
    }));
    this.places = perConsumer(() => new Map<string, Place>());
    this.acknowledged = 0;
    this.known = 0;
    this.processes = 0;
    this.inWork = new Set();
  }

  /** Deliveries that are with a handler at this moment. */
  get inWorkCount(): number {
    return this.inWork.size;
  }

  hear(report: Report): void {
    if ("order" in report && runOf(report.order) !== this.run) {
      if (report.kind === "done") this.leftOver += 1;
      return;
    }
    switch (report.kind) {
      case "open":
        this.inWork.clear();
        break;
      case "placed":
        this.acknowledged = report.last;
        this.known += report.known;
        break;
      case "start":
        this.#started(report.consumer, report.order);
        break;
      case "done":
        this.#done(report.consumer, report.order);
        break;
      case "failed":
        this.#failed(report.consumer, report.order, report.isLast);
        break;
    }
  }

  /** A dead letter of `consumer` was seen. */
  died(consumer: Consumer, order: string): void {
    if (runOf(order) !== this.run) return;
    this.consumers[consumer].deadLettered += 1;
    this.places[consumer].set(order, { state: "dead", process: this.processes });
  }

  #started(consumer: Consumer, order: string): void {
    this.inWork.add(`${consumer} ${order}`);
    const place = this.places[consumer].get(order);
    if (place === undefined) {
      this.places[consumer].set(order, { state: "in work", process: this.processes });
      return;
    }
    const wasHadByAnother = place.process < this.processes;
    if (place.state === "dead") this.consumers[consumer].replayed += 1;
    else if (place.state !== "to be retried" && wasHadByAnother) this.consumers[consumer].redelivered += 1;
    if (place.state !== "done") place.state = "in work";
    place.process = this.processes;
  }

  #done(consumer: Consumer, order: string): void {
    this.inWork.delete(`${consumer} ${order}`);
    const place = this.places[consumer].get(order);
    if (place === undefined) return;
    if (place.state !== "done") this.consumers[consumer].handled += 1;
    place.state = "done";
  }

  #failed(consumer: Consumer, order: string, isLast: boolean): void {
    this.inWork.delete(`${consumer} ${order}`);
    if (!isLast) this.consumers[consumer].retried += 1;
    const place = this.places[consumer].get(order);
    if (place !== undefined && place.state !== "done") place.state = "to be retried";
  }
}

function perConsumer<T>(make: () => T): Record<Consumer, T> {
  return Object.fromEntries(CONSUMERS.map((consumer) => [consumer, make()])) as Record<Consumer, T>;
}
