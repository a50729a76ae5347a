// Anything that the codecs of AMQP can say, for properties.

import fc from "fast-check";
import type { FieldTable, FieldValue } from "../../../src/protocols/amqp/wire/fields.js";
import { METHODS, type MethodName } from "../../../src/protocols/amqp/wire/methods.js";

/** An ordinary object, as the codecs make them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true } as never);
}

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
/** Of at most 255 bytes. */
const shortText = fc.string({ unit: "binary", maxLength: 60 });

const int64 = fc
  .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
const uint64 = fc
  .bigInt({ min: 0n, max: 2n ** 64n - 1n })
  .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));

const { table: fieldTable } = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    record({ type: fc.constantFrom("longstr" as const, "binary" as const), value: bytes }),
    record({ type: fc.constant("bool" as const), value: fc.boolean() }),
    record({ type: fc.constant("byte" as const), value: fc.integer({ min: -128, max: 127 }) }),
    record({ type: fc.constant("unsignedbyte" as const), value: fc.integer({ min: 0, max: 255 }) }),
    record({ type: fc.constant("short" as const), value: fc.integer({ min: -32_768, max: 32_767 }) }),
    record({ type: fc.constant("unsignedshort" as const), value: fc.integer({ min: 0, max: 65_535 }) }),
    record({ type: fc.constant("signedint" as const), value: fc.integer() }),
    record({ type: fc.constant("unsignedint" as const), value: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
    record({ type: fc.constant("float" as const), value: fc.float() }),
    record({ type: fc.constant("double" as const), value: fc.double() }),
    record({ type: fc.constant("long" as const), value: int64 }),
    record({ type: fc.constant("timestamp" as const), value: uint64 }),
    record({
      type: fc.constant("decimal" as const),
      value: record({ scale: fc.nat(255), digits: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
    }),
    fc.constant({ type: "void" as const, value: null }),
    record({ type: fc.constant("table" as const), value: tie("table") }),
    record({ type: fc.constant("array" as const), value: fc.array(tie("value"), { maxLength: 4 }) }),
  ),
  table: fc.array(fc.tuple(shortText, tie("value")), { maxLength: 5 }).map((entries) => new Map(entries)),
}));

export { fieldTable };

const fieldsByType = {
  bit: fc.boolean(),
  octet: fc.nat(255),
  short: fc.nat(65_535),
  long: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  longlong: fc.maxSafeNat(),
  shortstr: shortText,
  longstr: bytes,
  table: fieldTable,
};

/** A method and its fields. */
export const method: fc.Arbitrary<{ name: MethodName; fields: Record<string, unknown> }> = fc
  .constantFrom(...(Object.keys(METHODS) as MethodName[]))
  .chain((name) => {
    const types = Object.entries(METHODS[name].fields as Record<string, keyof typeof fieldsByType>);
    const fields = Object.fromEntries(types.map(([field, type]) => [field, fieldsByType[type]]));
    return record({
      name: fc.constant(name),
      fields: record(fields) as fc.Arbitrary<Record<string, unknown>>,
    });
  });
