import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ring } from "../../src/collections/ring.js";

test("a ring gives back what was put in, first in first out", () => {
  const step = fc.oneof({ weight: 3, arbitrary: fc.integer() }, fc.constant("shift" as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const ring = new Ring<number>();
      const model: number[] = [];
      for (const act of steps) {
        if (act === "shift") {
          assert.equal(ring.shift(), model.shift());
        } else {
          ring.push(act);
          model.push(act);
        }
        assert.equal(ring.size, model.length);
        assert.equal(ring.peek(), model[0]);
      }
      ring.clear();
      assert.deepEqual([ring.size, ring.peek(), ring.shift()], [0, undefined, undefined]);
    }),
  );
});
