// The order shop: what runs in the process that is killed. A program as a user of Omnibus would write it, except that
// it reports everything that it does.

import type { Bus, HandlerContext, Receipt } from "../../index.js";
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
  ORDER_TOPIC_OPTIONS,
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

  constructor(bus: Bus, clock: Clock, task: ShopTask, report: (report: Report) => void, stop: AbortSignal) {
    this.bus = bus;
    this.clock = clock;
    this.task = task;
    this.report = report;
    this.stop = stop;
  }

  /** Serves until `stop`. */
  async run(openMs: number): Promise<void> {
    const unfinished = await this.#openRun();
    await this.bus.topic(ORDER_TOPIC, ORDER_TOPIC_OPTIONS).declare();
    await this.#openHandlers(openMs, unfinished);
    await this.#place();
    await this.#waitUntilIdle();
    if (!this.stop.aborted) this.report({ kind: "idle" });
  }

  /** Says where this run begins, if it does. Returns the runs that are not finished. */
  async #openRun(): Promise<string[]> {
    const runs = (await readRuns(this.bus)).map(({ run }) => run);
    if (!runs.includes(this.task.run)) {
      await this.bus.publish(RunOpenedEvent, {
        run: this.task.run,
        orderOffset: await topicEnd(this.bus, ORDER_TOPIC),
        ledgerOffset: await topicEnd(this.bus, LEDGER_TOPIC),
      });
    }
    return runs.filter((run) => run !== this.task.run);
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
        this.#reporting("stock", 5, (order, ctx) => this.#orderReservation(order, ctx)),
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

  /** Billing: a payment provider that is slow, and now and then does not answer. It would know the order by its id. */
  async #charge(order: Order, ctx: HandlerContext): Promise<void> {
    await this.#pause(paymentMs(order.id));
    if (!acceptsPayment(order.id, ctx.attempt)) throw new Error("The payment provider did not answer.");
    await this.#book("charged", order.id, ctx);
  }

  /** Stock: a command to the workers of the warehouse. */
  async #orderReservation(order: Order, ctx: HandlerContext): Promise<void> {
    await ctx.send(ReserveStock, { order: order.id, sku: order.sku, quantity: order.quantity });
  }

  async #notify(order: Order, ctx: HandlerContext): Promise<void> {
    await this.#pause(4);
    await this.#book("notified", order.id, ctx);
  }

  /** A worker of the warehouse. Its first version has a bug that only some articles meet. */
  async #reserve(reservation: Reservation, ctx: HandlerContext): Promise<void> {
    const shelf = SHELVES[reservation.sku] as { row: number };
    const row = this.task.isFixed ? (shelf?.row ?? 0) : shelf.row;
    await this.#pause(2 + row);
    await this.#book("reserved", reservation.order, ctx);
  }

  /**
   * Writes an effect into the books, in one step with the acknowledgement of what caused it: a message that comes again
   * after a crash has no effect in the books yet.
   */
  async #book(effect: Effect, order: string, ctx: HandlerContext): Promise<void> {
    await ctx.publish(LedgerEvents[effect], { order, attempt: ctx.attempt });
  }

  /** Reports when a handler starts, ends and fails. */
  #reporting<T extends Order | Reservation>(
    consumer: Consumer,
    attempts: number,
    work: (value: T, ctx: HandlerContext) => Promise<void>,
  ): (value: T, ctx: HandlerContext) => Promise<void> {
    return async (value, ctx) => {
      const order = "id" in value ? value.id : value.order;
      this.report({ kind: "start", consumer, order, attempt: ctx.attempt });
      try {
        await work(value, ctx);
        this.report({ kind: "done", consumer, order });
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
      const receipts = await this.#placeSome(first, last);
      const known = receipts.filter(({ isDuplicate }) => isDuplicate).length;
      this.report({ kind: "placed", first, last, known });
      await this.#pause(PLACING_PAUSE_MS);
    }
  }

  /** The order's id is the message's: an order whose receipt was lost in a crash is not stored again. */
  #placeSome(first: number, last: number): Promise<Receipt[]> {
    const { run, orders } = this.task;
    const receipts: Promise<Receipt>[] = [];
    for (let number = first; number <= last; number += 1) {
      const order = orderOf(run, number, orders);
      receipts.push(
        isFromOldClient(number, orders)
          ? this.#placeAsOldClient(order)
          : this.bus.publish(orderPlaced(true), order, { id: order.id }),
      );
    }
    return Promise.all(receipts);
  }

  /** A client of last year writes its total as text. It knows no schema and publishes the bytes. */
  #placeAsOldClient({ totalCents, ...order }: Order): Promise<Receipt> {
    const body = JSON.stringify({ ...order, total: (totalCents / 100).toFixed(2) });
    return this.bus
      .topic(ORDER_TOPIC, ORDER_TOPIC_OPTIONS)
      .publish(body, { subject: ORDER_PLACED, key: order.id, id: order.id });
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
