// Any mixture of what handlers do, under any settings: each message is tried as often as its own answers say, and ends
// where they say.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ack, command, deadLetter, drop, type HandlerOptions, retry } from "../../src/index.js";
import { openTestBus } from "../../src/testing/index.js";
import { deadLettersOf } from "../support/buses.js";

/** What a handler does in one attempt, and what that means. */
const ANSWERS = {
  nothing: { ends: "done", act: () => undefined },
  "nothing, later": { ends: "done", act: () => new Promise<void>((resolve) => setImmediate(resolve)) },
  ack: { ends: "done", act: () => ack() },
  drop: { ends: "done", act: async () => drop() },
  "dead letter": { ends: "rejected", act: async () => deadLetter("no") },
  throws: {
    ends: undefined,
    act: () => {
      throw new Error("thrown");
    },
  },
  rejects: { ends: undefined, act: () => Promise.reject(new Error("rejected")) },
  nonsense: { ends: undefined, act: () => 5 as never },
  retry: { ends: undefined, act: () => retry({ after: "3s" }) },
  never: { ends: undefined, act: () => new Promise<void>(() => undefined) },
} as const;
type Answer = keyof typeof ANSWERS;

const ATTEMPTS = 3;
const Work = command<{ readonly number: number; readonly key: string }>("work", { key: ({ key }) => key });

/** How often a message is tried, and where it ends. */
function expected(answers: readonly Answer[]): { tries: number; end: string } {
  for (let index = 0; index < ATTEMPTS; index += 1) {
    const { ends } = ANSWERS[answers[index]!];
    if (ends !== undefined) return { tries: index + 1, end: ends };
  }
  return { tries: ATTEMPTS, end: "attempts-exhausted" };
}

const messages = fc.array(
  fc.record({
    answers: fc.array(fc.constantFrom(...(Object.keys(ANSWERS) as Answer[])), { minLength: 3, maxLength: 3 }),
    key: fc.constantFrom("a", "b", "c"),
  }),
  { minLength: 1, maxLength: 12 },
);

const settings = fc.record({
  concurrency: fc.integer({ min: 1, max: 5 }),
  prefetch: fc.constantFrom(5, 6, 100),
  orderBy: fc.constantFrom("none", "key"),
  onRetry: fc.constantFrom("block", "park"),
  immediate: fc.integer({ min: 0, max: 2 }),
});

test("each message is tried as its own answers say, and ends where they say, whatever the others do", async () => {
  await fc.assert(
    fc.asyncProperty(messages, settings, async (given, { immediate, ...options }) => {
      const bus = await openTestBus();
      const tries = given.map(() => 0);
      const running = new Set<string>();
      const retryPolicy = { attempts: ATTEMPTS, immediate, delay: "1s", jitter: 0 } as const;
      const handlerOptions: HandlerOptions = { ...options, timeout: "20s", retry: retryPolicy };
      bus.handle(Work, handlerOptions, ({ number, key }, { attempt, signal }) => {
        tries[number]! += 1;
        assert.equal(attempt, tries[number]);
        if (options.orderBy === "key") {
          assert.ok(!running.has(key), `two of key ${key} at a time`);
          running.add(key);
          signal.addEventListener("abort", () => running.delete(key));
        }
        const answer = ANSWERS[given[number]!.answers[attempt - 1]!];
        try {
          const returned = answer.act();
          if (returned instanceof Promise) returned.finally(() => running.delete(key)).catch(() => undefined);
          else running.delete(key);
          return returned;
        } catch (error) {
          running.delete(key);
          throw error;
        }
      });
      await bus.sendMany(
        Work,
        given.map(({ key }, number) => ({ number, key })),
      );
      await bus.advance("20m");
      const dead = new Map((await deadLettersOf(bus)).map((letter) => [letter.id, letter]));
      for (const [number, { answers }] of given.entries()) {
        const { tries: wanted, end } = expected(answers);
        assert.equal(tries[number], wanted);
        const letter = dead.get(`work:${number}`);
        assert.equal(letter?.reason ?? "done", end);
        if (letter !== undefined) assert.equal(letter.attempts, wanted);
      }
      const { inFlight, waiting, delayed } = await bus.queue("work").statistics();
      assert.deepEqual({ inFlight, waiting, delayed }, { inFlight: 0, waiting: 0, delayed: 0 });
      assert.deepEqual(bus.errors, []);
      await bus.close();
    }),
    { numRuns: 25 },
  );
});
