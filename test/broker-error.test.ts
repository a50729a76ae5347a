import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { BrokerError, isBrokerError } from "../src/broker-error.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

function codesOfSource(): string[] {
  const source = readFileSync(`${root}/src/broker-error.ts`, "utf8");
  const union = /export type BrokerErrorCode =([^;]*);/.exec(source)?.[1] ?? "";
  return [...union.matchAll(/"([A-Z_]+)"/g)].map(([, code = ""]) => code).sort();
}

/** The entries of docs/errors.md: code and text. */
function entries(): Map<string, string> {
  const [, ...sections] = readFileSync(`${root}/docs/errors.md`, "utf8").split(/^### /m);
  return new Map(
    sections.map((section) => {
      const [code = "", ...lines] = section.split(/^## /m)[0]?.split("\n") ?? [];
      return [code.trim(), lines.join("\n")];
    }),
  );
}

test("every code has one entry in docs/errors.md, and every entry has a code", () => {
  const codes = codesOfSource();
  assert.ok(codes.length > 0, "the codes were found in the source");
  assert.deepEqual([...entries().keys()].sort(), codes);
  const page = readFileSync(`${root}/docs/errors.md`, "utf8");
  for (const code of codes) assert.equal(page.split(`### ${code}\n`).length, 2, `${code} has one entry`);
});

test("every entry says what happened and what to do", () => {
  for (const [code, text] of entries()) {
    assert.match(text, /^\s*\*\*What happened\.\*\* \S[\s\S]*^\*\*What to do\.\*\* \S/m, code);
  }
});

test("an error carries its code, context and cause, and is told apart by its code", () => {
  const cause = new Error("disk");
  const error = new BrokerError("DISK_FULL", "No room.", { bytes: 5 }, cause);
  assert.equal(error.cause, cause);
  assert.deepEqual(error.context, { bytes: 5 });
  assert.ok(error instanceof Error);
  assert.ok(isBrokerError(error));
  assert.ok(isBrokerError(error, "DISK_FULL"));
  assert.ok(!isBrokerError(error, "CLOSED"));
  assert.ok(!isBrokerError(cause));
  assert.ok(!("cause" in new BrokerError("CLOSED", "It is closed.")));
});
