import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { audit, type RunAudit } from "../../../src/cli/demo/audit.js";
import { acceptsPayment, type Order, orderId, orderOf } from "../../../src/cli/demo/orders.js";
import { readRuns } from "../../../src/cli/demo/runs.js";
import { type Effect, LedgerEvents, orderPlaced, RunOpenedEvent } from "../../../src/cli/demo/shop-types.js";
import { type Bus, memory, openBus } from "../../../src/index.js";

const OrderPlaced = orderPlaced(true);

/** A shop's books with the orders 1 to 5 of the run "r", all in order but for what `change` does. */
async function auditOf(t: TestContext, change: (books: Books) => void, acknowledged = 5): Promise<RunAudit> {
  const bus = await openBus(memory());
  t.after(() => bus.close());
  const books = new Books();
  change(books);
  await bus.publish(RunOpenedEvent, { run: "r", orderOffset: 0, ledgerOffset: 0 });
  await books.write(bus);
  const [own] = await audit(bus, "r", acknowledged);
  assert.equal((await readRuns(bus)).length, own!.isInOrder ? 0 : 1, "a run is closed when it is in order");
  return own!;
}

class Books {
  readonly orders: Order[] = [];
  readonly effects: { effect: Effect; order: string; attempt: number }[] = [];

  constructor() {
    for (let number = 1; number <= 5; number += 1) {
      const order = orderOf("r", number, 5);
      this.orders.push(order);
      for (const effect of ["charged", "reserved", "notified"] as const) {
        this.effects.push({ effect, order: order.id, attempt: firstAccepted(order.id) });
      }
    }
  }

  async write(bus: Bus): Promise<void> {
    await bus.publishMany(OrderPlaced, this.orders);
    for (const { effect, order, attempt } of this.effects) {
      await bus.publish(LedgerEvents[effect], { order, attempt });
    }
  }
}

function firstAccepted(id: string): number {
  let attempt = 1;
  while (!acceptsPayment(id, attempt)) attempt += 1;
  return attempt;
}

test("books in which every order has each effect once are in order", async (t) => {
  const found = await auditOf(t, () => {});
  assert.equal(found.isInOrder, true);
  assert.deepEqual(
    [found.stored, found.storedTwice, found.effects],
    [5, [], { charged: 5, reserved: 5, notified: 5 }],
  );
});

test("an acknowledged order that is not in the topic is lost", async (t) => {
  const found = await auditOf(t, () => {}, 6);
  assert.deepEqual([found.isInOrder, found.lost], [false, [orderId("r", 6)]]);
});

test("an order that lacks an effect is found", async (t) => {
  const found = await auditOf(t, ({ effects }) => effects.splice(4, 1));
  assert.deepEqual([found.isInOrder, found.missing], [false, [`${orderId("r", 2)}: reserved`]]);
});

test("an effect that was done twice is found", async (t) => {
  const found = await auditOf(t, ({ effects }) => effects.push(effects[3]!));
  assert.deepEqual([found.isInOrder, found.doubled], [false, [`${orderId("r", 2)}: charged`]]);
});

test("an effect for an order that nobody placed is found", async (t) => {
  const found = await auditOf(t, ({ orders }) => orders.splice(2, 1), 2);
  assert.equal(found.isInOrder, false);
  assert.equal(found.inexplicable.length, 3);
});

test("a charge on an attempt that the payment provider refuses is found", async (t) => {
  const found = await auditOf(t, ({ effects }) => {
    const id = orderId("r", 1);
    let attempt = 1;
    while (acceptsPayment(id, attempt)) attempt += 1;
    effects[0] = { effect: "charged", order: id, attempt };
  });
  assert.equal(found.isInOrder, false);
  assert.match(found.inexplicable[0]!, /^r-000001: charged on attempt \d+$/);
});

test("an order that lies in the topic twice is found", async (t) => {
  const found = await auditOf(t, ({ orders }) => orders.push(orders[0]!));
  assert.deepEqual([found.isInOrder, found.stored, found.storedTwice], [false, 5, [orderId("r", 1)]]);
});
