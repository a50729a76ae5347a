import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptsPayment, isFromOldClient, orderId, orderOf, runOf } from "../../../src/cli/demo/orders.js";

test("an order follows from its run and its number", () => {
  assert.deepEqual(orderOf("r", 7, 100), orderOf("r", 7, 100));
  assert.notDeepEqual(orderOf("r", 7, 100), orderOf("s", 7, 100));
  assert.equal(runOf(orderId("a-b", 12)), "a-b");
});

test("every run has an order for an unknown article, and all but the smallest one from an old client", () => {
  for (const orders of [1, 2, 3, 10, 300, 3_000]) {
    const numbers = Array.from({ length: orders }, (_, index) => index + 1);
    const unknown = numbers.filter((number) => orderOf("r", number, orders).sku === "gift-card");
    assert.ok(unknown.length >= 1, `${orders} orders`);
    const old = numbers.filter((number) => isFromOldClient(number, orders));
    assert.equal(old.length, orders >= 2 ? 1 : 0, `${orders} orders`);
  }
});

test("the payment provider fails on about one attempt in ten", () => {
  const attempts = Array.from({ length: 10_000 }, (_, index) =>
    acceptsPayment(orderId("r", index), 1 + (index % 3)),
  );
  const failures = attempts.filter((accepted) => !accepted).length;
  assert.ok(failures > 800 && failures < 1_200, `${failures} of 10,000`);
});
