import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isBrokerError } from "../../src/broker-error.js";
import {
  appendHeaders,
  decodeHeaders,
  encodeHeaders,
  findHeader,
  type Header,
  headerEquals,
  NO_HEADERS,
} from "../../src/log/record-headers.js";

const many: Header[] = Array.from({ length: 64 }, () => ["n", "v"]);

const vectors: readonly [name: string, headers: Header[], hex: string][] = [
  ["no headers", [], "00"],
  ["one header", [["a", "bc"]], "02 0261 046263"],
  ["a null value", [["a", null]], "02 0261 01"],
  ["an empty name and an empty value", [["", ""]], "02 00 00"],
  ["a value of bytes", [["é", Buffer.of(0, 255)]], "02 04c3a9 0400ff"],
  ["a count of two bytes", many, `8001${"026e0276".repeat(64)}`],
];

for (const [name, headers, hex] of vectors) {
  test(`${name} are ${hex.slice(0, 20)} both ways`, () => {
    const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
    assert.deepEqual(Buffer.from(encodeHeaders(headers)), bytes);
    assert.deepEqual(decodeHeaders(bytes), asBytes(headers));
  });
}

const text = fc.string({ unit: "binary", maxLength: 100 });
const value: fc.Arbitrary<string | null> = fc.option(text);
const headersOf = fc.array(fc.tuple(text, value), { maxLength: 80 });

test("any headers survive the round trip, however they are put together", () => {
  fc.assert(
    fc.property(headersOf, headersOf, (base, more) => {
      const joined = appendHeaders(encodeHeaders(base), more);
      assert.deepEqual(joined, encodeHeaders([...base, ...more]));
      assert.deepEqual(decodeHeaders(joined), asBytes([...base, ...more]));
    }),
  );
});

test("no headers appended are the same headers", () => {
  const base = encodeHeaders([["a", "b"]]);
  assert.equal(appendHeaders(base, []), base);
  assert.equal(encodeHeaders([]), NO_HEADERS);
});

test("bytes that are no headers are refused", () => {
  for (const hex of ["", "01", "02", "0200", "020261", "02026104", "0000", "ffffffff0f"]) {
    assert.throws(
      () => decodeHeaders(Buffer.from(hex, "hex")),
      (error) => isBrokerError(error, "LOG_CORRUPT"),
    );
  }
});

function asBytes(headers: readonly Header[]): Header[] {
  return headers.map(([name, field]) => [
    name,
    typeof field === "string" ? Buffer.from(field) : field && Buffer.from(field),
  ]);
}

test("whether a header has some text is known without reading it", () => {
  const values = fc.option(fc.oneof(text, fc.string({ minLength: 60, maxLength: 70 })));
  const named = fc.array(fc.tuple(fc.constantFrom("a", "content-type", "n".repeat(70)), values), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(fc.oneof(named, headersOf), text, (headers, other) => {
      const bytes = Buffer.from(encodeHeaders(headers));
      for (const [name, value] of [...headers, ["content-type", other] as const]) {
        const last = headers.findLast(([own]) => own === name)?.[1];
        const wanted = value ?? "";
        const expected = typeof last === "string" ? last === wanted : undefined;
        const found = headerEquals(bytes, 0, bytes.length, Buffer.from(name), Buffer.from(wanted));
        assert.equal(found, expected);
      }
    }),
  );
});

test("a header is found by its name, the last of several, however long it and the others are", () => {
  const sizes = [0, 1, 63, 64, 100, 8191, 8192, 20_000];
  const sized = fc.option(fc.constantFrom(...sizes).map((size) => "v".repeat(size)));
  const named = fc.array(fc.tuple(fc.constantFrom("a", "b", "n".repeat(64)), sized), { maxLength: 5 });
  fc.assert(
    fc.property(named, (headers) => {
      const bytes = Buffer.concat([Buffer.from("before"), encodeHeaders(headers), Buffer.from("after")]);
      for (const name of ["a", "b", "c", "n".repeat(64)]) {
        const last = headers.findLast(([own]) => own === name)?.[1] ?? undefined;
        assert.equal(findHeader(bytes, 6, bytes.length - 5, name)?.toString(), last);
      }
      for (let end = bytes.length - 6; end > bytes.length - 70 && end > 6; end -= 1)
        assert.throws(() => findHeader(bytes, 6, end, "a"), `cut at ${end} of ${bytes.length}`);
    }),
  );
});

test("malformed headers are refused, whoever asks for one", () => {
  for (const hex of ["02", "0202", "020261", "02026104", "0202610262ff", "04026100", "01"]) {
    const bytes = Buffer.from(hex, "hex");
    assert.throws(() => headerEquals(bytes, 0, bytes.length, Buffer.from("a"), Buffer.from("b")), hex);
    assert.throws(() => findHeader(bytes, 0, bytes.length, "a"), hex);
  }
});
