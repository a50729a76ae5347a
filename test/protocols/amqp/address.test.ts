import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assertName } from "../../../src/broker/names.js";
import { parsePattern, parseSubject } from "../../../src/broker/subject.js";
import { PatternTrie } from "../../../src/collections/pattern-trie.js";
import {
  amqpName,
  brokerName,
  patternOf,
  queueOfSubject,
  queueSubject,
  replyToOf,
  routingKeyOf,
  subjectOf,
  subjectOfDirectReply,
  textOfToken,
  tokenOf,
} from "../../../src/protocols/amqp/address.js";

/** Texts that look like names, with all that is special in one of the worlds. */
const special = fc.constantFrom(...".*#>\\%-_:/ aZ09é€😀");
const name = fc.string({
  unit: fc.oneof(special, fc.string({ unit: "grapheme", maxLength: 1 })),
  maxLength: 40,
});
/** No control characters and no halves of characters: these are no subjects. */
const routingKey = fc.string({ unit: special, maxLength: 40 });

test("every name of AMQP is one name of the broker, and comes back", () => {
  fc.assert(
    fc.property(
      name.filter((text) => text !== ""),
      (text) => {
        const there = brokerName(text);
        assert.equal(amqpName(there), Buffer.from(text).toString());
        if (there.length <= 255) assertName("queue", there);
      },
    ),
  );
});

test("plain names are the same on both sides, and others are percent-encoded", () => {
  for (const [amqp, broker] of [
    ["orders", "orders"],
    ["amq.gen-Ab_9", "amq.gen-Ab_9"],
    ["a:b", "a:b"],
    ["my queue", "my%20queue"],
    ["a/b", "a%2Fb"],
    ["100%", "100%25"],
    ["-x", "%2Dx"],
    [".x", "%2Ex"],
    ["é", "%C3%A9"],
  ] as const) {
    assert.equal(brokerName(amqp), broker);
    assert.equal(amqpName(broker), amqp);
  }
});

test("every routing key is one subject, and comes back", () => {
  fc.assert(
    fc.property(routingKey, (key) => {
      assert.deepEqual(key === "" ? [] : parseSubject(subjectOf(key)), key === "" ? [] : key.split("."));
      assert.equal(routingKeyOf(subjectOf(key)), key);
    }),
  );
});

test("wildcards in a routing key are plain words, and the empty key is the empty subject", () => {
  for (const [key, subject] of [
    ["order.placed", "order.placed"],
    ["", ""],
    ["a..b", "a..b"],
    ["*", "\\*"],
    ["a.#.b", "a.\\#.b"],
    ["a.>", "a.\\>"],
    ["a*b", "a*b"],
    ["a\\b", "a\\\\b"],
  ] as const) {
    assert.equal(subjectOf(key), subject);
    assert.equal(routingKeyOf(subject), key);
  }
});

/** What RabbitMQ's topic exchange does: `*` is one word, `#` any number. */
function matches(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === "#") return matches(rest, words) || (words.length > 0 && matches(pattern, words.slice(1)));
  return words.length > 0 && (first === "*" || first === words[0]) && matches(rest, words.slice(1));
}

test("a binding key matches the routing keys that it matches in a topic exchange", () => {
  const word = fc.constantFrom("a", "b", "", ">", "*", "#", "\\");
  const key = fc.array(word, { maxLength: 4 }).map((words) => words.join("."));
  fc.assert(
    fc.property(key, key, (binding, routing) => {
      const trie = new PatternTrie<string>();
      trie.add(parsePattern(patternOf(binding)), "bound");
      const isMatched = trie.match(parseSubject(subjectOf(routing))).size > 0;
      const split = (text: string): string[] => (text === "" ? [] : text.split("."));
      assert.equal(isMatched, matches(split(binding), split(routing)), `${binding} / ${routing}`);
    }),
    { numRuns: 2_000 },
  );
});

test("a queue that answers go to is a subject below _queue, whatever its name", () => {
  fc.assert(
    fc.property(
      routingKey.filter((text) => text !== ""),
      (queue) => {
        assert.equal(queueOfSubject(queueSubject(queue)), queue);
        assert.equal(replyToOf(queueSubject(queue)), queue);
      },
    ),
  );
  assert.equal(queueOfSubject("_queue.a.b"), undefined);
  assert.equal(queueOfSubject("orders.a"), undefined);
});

test("any other subject is a reply_to that leads back to it", () => {
  fc.assert(
    fc.property(
      name.filter((text) => text !== "" && !text.startsWith("_queue.")),
      (subject) => {
        const replyTo = replyToOf(subject);
        if (replyTo === undefined) return;
        assert.ok(Buffer.byteLength(replyTo) <= 255);
        assert.equal(subjectOfDirectReply(replyTo), Buffer.from(subject).toString());
      },
    ),
  );
  assert.equal(replyToOf("x".repeat(300)), undefined);
  assert.equal(subjectOfDirectReply("orders"), undefined);
});

test("a correlation id is a level that every protocol can write", () => {
  fc.assert(
    fc.property(name, (text) => {
      assert.match(tokenOf(text), /^[A-Za-z0-9_%-]*$/);
      assert.equal(textOfToken(tokenOf(text)), Buffer.from(text).toString());
    }),
  );
});

test("a subject that is longer than a short string is cut between characters", () => {
  const key = routingKeyOf("é".repeat(200));
  assert.equal(key, "é".repeat(127));
  assert.equal(routingKeyOf("x".repeat(255)), "x".repeat(255));
});
