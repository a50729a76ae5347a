// The order shop: what runs in the process that is killed. A program as a user of Omnibus would write it, except that
// it reports everything that it does.

import type { Bus, HandlerContext } from "../../index.js";
import type { Clock } from "../../io/io.js";
import { acceptsPayment, isFromOldClient, type Order, orderOf, paymentMs } from "./orders.js";
import type { Report, ShopTask } from "./reports.js";
import { readRuns, topicEnd } from "./runs.js";
import {
  type Consumer,
  type Effect,
  LEDGER_TOPIC,
  LedgerEvents,
  ORDER_PLACED,
  ORDER_TOPIC,
  orderPlaced,
  type Reservation,
  ReserveStock,
  RunOpenedEvent,
} from "./shop-types.js";

/** Orders that are placed with one call, and the pause between two calls. */
const PLACED_AT_ONCE = 25;
const PLACING_PAUSE_MS = 22;
const LOOK_AGAIN_MS = 40;

/** A payment that failed is tried again soon, then later and later. */
const PAYMENT_RETRY = { attempts: 10, delay: "80ms", backoff: "exponential", delayMax: "400ms" } as const;
const WAREHOUSE_RETRY = { attempts: 3, delay: "120ms", backoff: "fixed" } as const;

const SHELVES: Readonly<Record<string, { readonly row: number }>> = {
  apple: { row: 1 },
  bread: { row: 2 },
  cheese: { row: 3 },
  dates: { row: 4 },
  eggs: { row: 5 },
  figs: { row: 6 },
};

export class Shop {
  private readonly bus: Bus;
  private readonly clock: Clock;
  private readonly task: ShopTask;
  private readonly report: (report: Report) => void;
  private readonly stop: AbortSignal;
  /** Effects that are in the books, as `effect order`. What is there already is not done again. */
  private readonly booked: Set<string>;

  constructor(bus: Bus, clock: Clock, task: ShopTask, report: (report: Report) => void, stop: AbortSignal) {
    this.bus = bus;
    this.clock = clock;
    this.task = task;
    this.report = report;
    this.stop = stop;
    this.booked = new Set();
  }

  /** Serves until `stop`. */
  async run(openMs: number): Promise<void> {
    const unfinished = await this.#readBooks();
    await this.#openHandlers(openMs, unfinished);
    await this.#place();
    await this.#waitUntilIdle();
    if (!this.stop.aborted) this.report({ kind: "idle" });
  }

  /** Reads the books of the runs that are not finished, this one's first. Returns the other runs. */
  async #readBooks(): Promise<string[]> {
    const runs = await readRuns(this.bus);
    const current = runs.find(({ run }) => run === this.task.run);
    if (current === undefined) {
      await this.bus.publish(RunOpenedEvent, {
        run: this.task.run,
        orderOffset: await topicEnd(this.bus, ORDER_TOPIC),
        ledgerOffset: await topicEnd(this.bus, LEDGER_TOPIC),
      });
    }
    const from = Math.min(...runs.map(({ ledgerOffset }) => ledgerOffset));
    if (Number.isFinite(from)) {
      for await (const entry of this.bus.topic(LEDGER_TOPIC).read({ from })) {
        this.booked.add(`${entry.subject.slice(LEDGER_TOPIC.length + 1)} ${entry.key}`);
      }
    }
    return runs.map(({ run }) => run).filter((run) => run !== this.task.run);
  }

  async #openHandlers(openMs: number, unfinishedRuns: readonly string[]): Promise<void> {
    const backlog = await this.#unsettled();
    const OrderPlaced = orderPlaced(this.task.isFixed);
    const groups = { from: "beginning" } as const;
    const handlings = [
      this.bus.on(
        OrderPlaced,
        { ...groups, group: "billing", concurrency: 48, retry: PAYMENT_RETRY },
        this.#reporting("billing", PAYMENT_RETRY.attempts, (order, ctx) => this.#charge(order, ctx)),
      ),
      this.bus.on(
        OrderPlaced,
        { ...groups, group: "stock", concurrency: 16 },
        this.#reporting("stock", 5, (order) => this.#orderReservation(order)),
      ),
      this.bus.on(
        OrderPlaced,
        { ...groups, group: "notification", concurrency: 32 },
        this.#reporting("notification", 5, (order, ctx) => this.#notify(order, ctx)),
      ),
      this.bus.handle(
        ReserveStock,
        { concurrency: 16, retry: WAREHOUSE_RETRY },
        this.#reporting("stock.reserve", WAREHOUSE_RETRY.attempts, (reservation, ctx) =>
          this.#reserve(reservation, ctx),
        ),
      ),
    ];
    this.report({ kind: "open", openMs, unfinishedRuns, backlog });
    await Promise.all(handlings.map((handling) => handling.ready));
  }

  /** Billing: a payment provider that is slow, and now and then does not answer. */
  async #charge(order: Order, ctx: HandlerContext): Promise<boolean> {
    if (this.booked.has(`charged ${order.id}`)) return true;
    await this.#pause(paymentMs(order.id));
    if (!acceptsPayment(order.id, ctx.attempt)) throw new Error("The payment provider did not answer.");
    return this.#book("charged", order.id, ctx.attempt);
  }

  /** Stock: a command to the workers of the warehouse. Sent again after a crash, it is recognised there. */
  async #orderReservation(order: Order): Promise<boolean> {
    await this.bus.send(ReserveStock, { order: order.id, sku: order.sku, quantity: order.quantity });
    return false;
  }

  async #notify(order: Order, ctx: HandlerContext): Promise<boolean> {
    if (this.booked.has(`notified ${order.id}`)) return true;
    await this.#pause(4);
    return this.#book("notified", order.id, ctx.attempt);
  }

  /** A worker of the warehouse. Its first version has a bug that only some articles meet. */
  async #reserve(reservation: Reservation, ctx: HandlerContext): Promise<boolean> {
    const shelf = SHELVES[reservation.sku] as { row: number };
    const row = this.task.isFixed ? (shelf?.row ?? 0) : shelf.row;
    await this.#pause(2 + row);
    return this.#book("reserved", reservation.order, ctx.attempt);
  }

  /**
   * Writes an effect into the books, which is durable when this resolves. Returns whether it was there already: at least
   * once is what the bus promises, and the order's id makes the second time harmless.
   */
  async #book(effect: Effect, order: string, attempt: number): Promise<boolean> {
    const name = `${effect} ${order}`;
    if (this.booked.has(name)) return true;
    this.booked.add(name);
    try {
      await this.bus.publish(LedgerEvents[effect], { order, attempt });
    } catch (error) {
      this.booked.delete(name);
      throw error;
    }
    return false;
  }

  /** Reports when a handler starts, ends and fails. `work` returns whether it found its work done. */
  #reporting<T extends Order | Reservation>(
    consumer: Consumer,
    attempts: number,
    work: (value: T, ctx: HandlerContext) => Promise<boolean>,
  ): (value: T, ctx: HandlerContext) => Promise<void> {
    return async (value, ctx) => {
      const order = "id" in value ? value.id : value.order;
      this.report({ kind: "start", consumer, order, attempt: ctx.attempt });
      try {
        const isRepeated = await work(value, ctx);
        this.report({ kind: "done", consumer, order, isRepeated });
      } catch (error) {
        this.report({ kind: "failed", consumer, order, isLast: ctx.attempt >= attempts });
        throw error;
      }
    };
  }

  /** Places the orders that are left, a few at a time, and reports those whose receipts it has. */
  async #place(): Promise<void> {
    const { orders, placeFrom } = this.task;
    for (let first = placeFrom; first <= orders && !this.stop.aborted; first += PLACED_AT_ONCE) {
      const last = Math.min(first + PLACED_AT_ONCE - 1, orders);
      await this.#placeSome(first, last);
      this.report({ kind: "placed", first, last });
      await this.#pause(PLACING_PAUSE_MS);
    }
  }

  async #placeSome(first: number, last: number): Promise<void> {
    const { run, orders } = this.task;
    const some: Order[] = [];
    for (let number = first; number <= last; number += 1) {
      const order = orderOf(run, number, orders);
      if (isFromOldClient(number, orders)) await this.#placeAsOldClient(order);
      else some.push(order);
    }
    await this.bus.publishMany(orderPlaced(true), some);
  }

  /** A client of last year writes its total as text. It knows no schema and publishes the bytes. */
  async #placeAsOldClient({ totalCents, ...order }: Order): Promise<void> {
    const body = JSON.stringify({ ...order, total: (totalCents / 100).toFixed(2) });
    await this.bus.topic(ORDER_TOPIC).publish(body, { subject: ORDER_PLACED, key: order.id });
  }

  async #waitUntilIdle(): Promise<void> {
    while (!this.stop.aborted && (await this.#unsettled()) > 0) await this.#pause(LOOK_AGAIN_MS);
  }

  /** Messages that wait, are in work or are delayed, of every consumer of the shop. */
  async #unsettled(): Promise<number> {
    const { queues, topics } = await this.bus.statistics();
    const groups = topics.filter(({ name }) => name === ORDER_TOPIC).flatMap((topic) => topic.groups);
    const lags = groups.reduce((sum, { lag, inFlight, delayed }) => sum + lag + inFlight + delayed, 0);
    return queues
      .filter(({ name }) => name === "stock.reserve")
      .reduce((sum, { waiting, inFlight, delayed }) => sum + waiting + inFlight + delayed, lags);
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(resolve, delayMs);
    });
  }
}
