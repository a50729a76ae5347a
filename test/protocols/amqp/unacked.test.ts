import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Delivery } from "../../../src/broker/delivery.js";
import { UnackedDeliveries } from "../../../src/protocols/amqp/unacked.js";

/** What is kept is not looked at. */
function delivery(tag: number): Delivery {
  return { tag } as unknown as Delivery;
}

type Step = readonly ["add" | "skip" | "take" | "oldest" | "restore", number];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("add", "add", "add", "skip", "take", "take", "oldest", "restore"),
  fc.nat(200),
);

test("unanswered deliveries are found by their tags, in whatever order they are answered", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const unacked = new UnackedDeliveries();
      const model = new Map<number, Delivery>();
      const taken = new Map<number, Delivery>();
      for (const [action, number] of steps) play(unacked, model, taken, action, number);
      assert.equal(unacked.size, model.size);
      assert.deepEqual(
        [...unacked],
        [...model].sort(([a], [b]) => a - b).map(([, one]) => one),
      );
    }),
    { numRuns: 500 },
  );
});

function play(
  unacked: UnackedDeliveries,
  model: Map<number, Delivery>,
  taken: Map<number, Delivery>,
  action: Step[0],
  number: number,
): void {
  if (action === "add") {
    const one = delivery(unacked.next);
    model.set(unacked.next, one);
    unacked.add(one);
  } else if (action === "skip") unacked.skip();
  else if (action === "take") {
    const tag = 1 + (number % unacked.next);
    assert.equal(unacked.has(tag), model.has(tag));
    const one = unacked.take(tag);
    assert.equal(one, model.get(tag));
    if (one !== undefined) taken.set(tag, one);
    model.delete(tag);
  } else if (action === "oldest") {
    const [oldest] = [...model.keys()].sort((a, b) => a - b);
    const one = unacked.takeOldest(number);
    if (oldest === undefined || oldest > number) assert.equal(one, undefined);
    else {
      assert.equal(one, model.get(oldest));
      assert.equal(unacked.lastTaken, oldest);
      model.delete(oldest);
    }
  } else {
    unacked.restore(taken);
    for (const [tag, one] of taken) model.set(tag, one);
    taken.clear();
  }
}

test("one delivery that is not answered does not make a million later ones cost memory", () => {
  const unacked = new UnackedDeliveries();
  const first = delivery(1);
  unacked.add(first);
  for (let tag = 2; tag < 1_000_000; tag += 1) {
    assert.equal(unacked.add(delivery(tag)), tag);
    unacked.take(tag);
  }
  const { deliveries } = unacked as unknown as { deliveries: readonly unknown[] };
  assert.ok(deliveries.length <= 64, `${deliveries.length} slots`);
  assert.equal(unacked.take(1), first);
  assert.equal(unacked.size, 0);
});

test("many that were left behind are answered, or given again, in one go", () => {
  const unacked = new UnackedDeliveries();
  for (let tag = 1; tag <= 500_000; tag += 1) {
    unacked.add(delivery(tag));
    if (tag % 5 > 0) unacked.take(tag);
  }
  const beganMs = performance.now();
  for (let round = 0; round < 2; round += 1) {
    const taken: [number, Delivery][] = [];
    for (let one = unacked.takeOldest(500_000); one !== undefined; one = unacked.takeOldest(500_000))
      taken.push([unacked.lastTaken, one]);
    assert.equal(taken.length, 100_000);
    unacked.restore(taken);
  }
  const tookMs = performance.now() - beganMs;
  assert.equal(unacked.size, 100_000);
  // Minutes, where each of them looks at the others.
  assert.ok(tookMs < 10_000, `${tookMs} ms`);
});
