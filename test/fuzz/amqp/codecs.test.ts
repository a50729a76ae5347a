import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readTable, tableSize, writeTable } from "../../../src/protocols/amqp/wire/fields.js";
import {
  type MethodFields,
  methodSize,
  readMethod,
  writeMethod,
} from "../../../src/protocols/amqp/wire/methods.js";
import { ProtocolError } from "../../../src/protocols/amqp/wire/protocol-error.js";
import { WireReader } from "../../../src/protocols/amqp/wire/reader.js";
import { fieldTable, method } from "./arbitraries.js";

/** What may come of bytes that mean nothing. */
const REPLIES = ["FRAME_ERROR", "SYNTAX_ERROR", "COMMAND_INVALID"];

/** Runs `action`, and lets pass what a reader may throw. */
function orRefused(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    assert.ok(REPLIES.includes(error.reply), error.reply);
    assert.ok(Buffer.byteLength(error.replyText) <= 255);
    return undefined;
  }
}

function encoded(table: Parameters<typeof writeTable>[2]): Buffer {
  const bytes = Buffer.alloc(tableSize(table));
  assert.equal(writeTable(bytes, 0, table), bytes.length);
  return bytes;
}

function encodedMethod({
  name,
  fields,
}: {
  name: Parameters<typeof methodSize>[0];
  fields: unknown;
}): Buffer {
  const values = fields as MethodFields<typeof name>;
  const bytes = Buffer.alloc(methodSize(name, values));
  assert.equal(writeMethod(bytes, 0, name, values), bytes.length);
  return bytes;
}

test("every field table is read as it was written", () => {
  fc.assert(
    fc.property(fieldTable, (table) => {
      const reader = new WireReader(encoded(table));
      assert.deepEqual(readTable(reader), table);
      reader.assertAtEnd();
    }),
  );
});

test("every method is read as it was written", () => {
  fc.assert(
    fc.property(method, (one) => {
      const bytes = encodedMethod(one);
      assert.deepEqual(readMethod(bytes, 0, bytes.length), { name: one.name, ...one.fields });
    }),
    { numRuns: 500 },
  );
});

test("every method that is cut off is refused, wherever it is cut", () => {
  fc.assert(
    fc.property(method, (one) => {
      const bytes = encodedMethod(one);
      for (let end = 4; end < bytes.length; end += 1)
        assert.throws(() => readMethod(bytes, 0, end), ProtocolError);
    }),
  );
});

test("bytes after a method are refused", () => {
  fc.assert(
    fc.property(method, fc.uint8Array({ minLength: 1, maxLength: 9 }), (one, more) => {
      const bytes = Buffer.concat([encodedMethod(one), more]);
      assert.throws(() => readMethod(bytes, 0, bytes.length), ProtocolError);
    }),
  );
});

test("a method of which bytes were changed is read, or refused with a reply of the protocol", () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(method, changes, (one, changed) => {
      const bytes = encodedMethod(one);
      for (const [at, value] of changed) bytes[at % bytes.length] = value;
      orRefused(() => readMethod(bytes, 0, bytes.length));
    }),
    { numRuns: 2_000 },
  );
});

test("any bytes are a method, or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 200 }), (array) => {
      orRefused(() => readMethod(Buffer.from(array), 0, array.length));
    }),
    { numRuns: 2_000 },
  );
});

test("any bytes are a field table, or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (array) => {
      orRefused(() => readTable(new WireReader(Buffer.from(array))));
    }),
    { numRuns: 2_000 },
  );
});

test("tables in tables are read up to a depth, and refused beyond it", () => {
  const nested = (depth: number): Buffer => {
    let bytes: Buffer = Buffer.alloc(4);
    for (let i = 0; i < depth; i += 1) {
      const size = Buffer.alloc(4);
      size.writeUInt32BE(bytes.length + 2);
      bytes = Buffer.concat([size, Buffer.from("\x00F", "latin1"), bytes]);
    }
    return bytes;
  };
  readTable(new WireReader(nested(60)));
  for (const depth of [65, 1_000, 15_000])
    assert.throws(() => readTable(new WireReader(nested(depth))), { reply: "SYNTAX_ERROR" });
});

test("a length that says more than there is reserves nothing", () => {
  const bytes = Buffer.alloc(4 + 1 + 1 + 4);
  bytes.writeUInt32BE(6);
  bytes[4] = 0;
  bytes[5] = "S".charCodeAt(0);
  bytes.writeUInt32BE(0xffffffff, 6);
  assert.throws(() => readTable(new WireReader(bytes)), { reply: "FRAME_ERROR" });
});
