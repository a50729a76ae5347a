import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type XmlContent, xml } from "../../../src/bus/codecs/xml.js";
import { isBrokerError } from "../../../src/index.js";
import { roundTrip, storedBody } from "./codec-records.js";

const codec = xml({ root: "order", lists: ["line"] });

const BODIES: readonly (readonly [object, string])[] = [
  [{}, "<order/>"],
  [{ id: "o-1", note: "" }, "<order><id>o-1</id><note/></order>"],
  [{ note: "  as it is \n" }, "<order><note>  as it is \n</note></order>"],
  [{ note: "a < b & c ]]>" }, "<order><note>a &lt; b &amp; c ]]&gt;</note></order>"],
  [{ "@id": 'o"1' }, '<order id="o&quot;1"/>'],
  [{ "#text": "all of it" }, "<order>all of it</order>"],
  [{ price: { "@currency": "EUR", "#text": "5" } }, '<order><price currency="EUR">5</price></order>'],
  [{ line: [{ sku: "tea" }] }, "<order><line><sku>tea</sku></line></order>"],
  [
    { line: ["a", "b"], tag: ["c", "d"] },
    "<order><line>a</line><line>b</line><tag>c</tag><tag>d</tag></order>",
  ],
  [{ "ns:größe": "5" }, "<order><ns:größe>5</ns:größe></order>"],
];

test("elements are written and read again as objects", () => {
  for (const [value, text] of BODIES) {
    assert.equal(codec.encode(value), text);
    assert.deepEqual(codec.decode(storedBody(text)), value);
  }
});

test("everything is read as text, and what is not there is left out", () => {
  const value = { a: 42, b: true, c: 10n, d: new Date(0), e: null, f: undefined, g: [], h: "007" };
  assert.deepEqual(roundTrip(codec, value), {
    a: "42",
    b: "true",
    c: "10",
    d: "1970-01-01T00:00:00.000Z",
    h: "007",
  });
});

test("layout, comments, instructions and character data of others are understood", () => {
  const text = `\uFEFF<?xml version="1.0" encoding="UTF-8"?>
    <!-- an order --><?print twice?>
    <order id='1'>
      <a>x<!-- inside -->y</a>
      <b><![CDATA[ <raw> & ]]></b>
      <c>&#65;&#x42;&quot;</c>
    </order>
  `;
  assert.deepEqual(codec.decode(storedBody(text)), { "@id": "1", a: "xy", b: " <raw> & ", c: 'AB"' });
});

test("any tree of texts comes back as it was", () => {
  const names = fc.stringMatching(/^@?[a-z][a-z0-9.-]{0,5}$/).filter((name) => name !== "line");
  // A line end is one character in XML, however it was written.
  const texts = fc.string({ unit: "grapheme" }).filter((text) => !/[^\P{C}\n]|\p{Cs}/u.test(text));
  const { element } = fc.letrec<{ element: object; content: unknown }>((tie) => ({
    content: fc.oneof(
      { maxDepth: 4 },
      texts,
      tie("element"),
      fc.array(texts, { minLength: 2, maxLength: 3 }),
    ),
    element: fc
      .dictionary(names, tie("content"), { minKeys: 1, maxKeys: 4 })
      .map((fields) =>
        Object.fromEntries(
          Object.entries(fields).map(([name, value]) => [name, name.startsWith("@") ? "text" : value]),
        ),
      ),
  }));
  fc.assert(
    fc.property(element, (value) =>
      assert.deepEqual(roundTrip(codec, value), value as Record<string, XmlContent>),
    ),
  );
});

test("what XML cannot hold is refused", () => {
  for (const value of [
    { a: () => 1 },
    { a: Symbol("s") },
    { a: [null] },
    { "": "x" },
    { "a b": "x" },
    { "a><b": "x" },
    { "1a": "x" },
    { a: "\u0000" },
    { a: "\uD800" },
    { "@a": "\u0001" },
    [],
    new Date(),
  ])
    assert.throws(() => codec.encode(value), TypeError, JSON.stringify(value));
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  assert.throws(() => codec.encode(cycle));
});

test("what is no such element is refused", () => {
  for (const text of [
    "",
    "text",
    "{}",
    "<invoice/>",
    "<order/><order/>",
    "<order/><invoice/>",
    "<order>&copy;</order>",
    "<order>&#x110000;</order>",
    "<order>&#55555555555;</order>",
    '<order a="&b;"/>',
    "<order><a></order></a>",
    "<order><a></order>",
    "<order a=1/>",
    `<order>${"<a>".repeat(5_000)}${"</a>".repeat(5_000)}</order>`,
    "<order><__proto__>x</__proto__></order>",
  ])
    assert.throws(() => codec.decode(storedBody(text)), text.slice(0, 50));
});

test("entities of others are not expanded: a document type is refused", () => {
  const bomb = '<!DOCTYPE order [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><order>&b;</order>';
  assert.throws(() => codec.decode(storedBody(bomb)), /document type/);
});

test("wrong options are refused, by name", () => {
  const wrong = [
    {},
    { root: "" },
    { root: "a b" },
    { root: "a", lists: "line" },
    { root: "a", list: [] },
    undefined,
  ];
  for (const options of wrong)
    assert.throws(
      () => xml(options as never),
      (error) => isBrokerError(error, "INVALID_OPTION") && /root|list/.test(error.message),
    );
});
