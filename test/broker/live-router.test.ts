import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { LiveMessage, LiveReceiver } from "../../src/broker/live-message.js";
import { UnstoredMessage } from "../../src/broker/live-message.js";
import { LiveRouter } from "../../src/broker/live-router.js";
import { parsePattern, parseSubject } from "../../src/broker/subject.js";
import { PatternTrie } from "../../src/collections/pattern-trie.js";
import { message } from "../support/broker-world.js";
import { SeededRandom } from "../support/seeded-random.js";

class Recorder implements LiveReceiver {
  readonly group: string | undefined;
  got = 0;

  constructor(group?: string) {
    this.group = group;
  }

  offer(_message: LiveMessage): boolean {
    this.got += 1;
    return true;
  }
}

/** Levels with all the ways to write what means something else elsewhere. */
const level = fc.constantFrom("a", "b", "\\a", "\\*", "c\\.d", "\\>");
const subject = fc.array(level, { minLength: 1, maxLength: 3 }).map((levels) => levels.join("."));
const pattern = fc.oneof(
  subject,
  fc
    .array(fc.oneof(level, fc.constantFrom("*", "#")), { minLength: 1, maxLength: 3 })
    .map((levels) => levels.join(".")),
);
const GROUPS = [undefined, undefined, "g", "h"];

test("whoever has a matching pattern is offered a message once, and one of each group, whatever came and went before", () => {
  const step = fc.oneof(
    fc.tuple(fc.constantFrom("add", "remove"), pattern, fc.nat(5)),
    fc.tuple(fc.constant("publish"), fc.oneof(subject, fc.constantFrom("a.*", "*", "#.b")), fc.constant(0)),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const router = new LiveRouter(new SeededRandom(1));
      const model = new PatternTrie<Recorder>();
      const receivers = Array.from({ length: 6 }, (_, index) => new Recorder(GROUPS[index % 4]));
      for (const [kind, text, index] of steps) {
        const receiver = receivers[index]!;
        if (kind === "add") {
          router.add(text, receiver);
          model.add(parsePattern(text), receiver);
        } else if (kind === "remove") {
          router.remove(text, receiver);
          model.remove(parsePattern(text), receiver);
        } else {
          const matching = model.match(parseSubject(text));
          const before = receivers.map(({ got }) => got);
          const taken = router.offer(new UnstoredMessage(message("", { subject: text })));
          const offered = receivers.filter(({ got }, one) => got > before[one]!);
          assert.equal(router.hasRoute(text), matching.size > 0);
          assert.deepEqual(new Set(router.receiversOf(text)), matching);
          assert.equal(offered.length, taken);
          for (const one of offered)
            assert.ok(matching.has(one) && one.got === before[receivers.indexOf(one)]! + 1);
          const ways = new Set([...matching].map((one) => one.group ?? one));
          assert.equal(taken, ways.size);
        }
        assert.equal(router.hasPatterns, model.size > 0);
      }
    }),
    { numRuns: 500 },
  );
});
