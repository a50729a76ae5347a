// Checking payloads with any Standard Schema (https://standardschema.dev, version 1): zod, valibot, arktype and others.

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { BrokerError } from "../broker-error.js";
import { describeThrown } from "./describe-thrown.js";

export type Schema<In, Out> = StandardSchemaV1<In, Out>;

/** How many of a payload's problems an error names. */
const ISSUES_SHOWN = 5;

/** Errors: INVALID_SCHEMA. */
export function assertSchema(type: string, schema: unknown): void {
  const standard: unknown = (schema as { "~standard"?: unknown } | undefined)?.["~standard"];
  if (typeof (standard as { validate?: unknown } | undefined)?.validate === "function") return;
  throw new BrokerError(
    "INVALID_SCHEMA",
    `The schema of ${type} is no Standard Schema; give one made with zod, valibot, arktype or another library that implements it.`,
    { type },
  );
}

/**
 * Hot: the output value, at once when the schema answers at once, else a promise of it.
 * Errors, thrown or rejected with: INVALID_PAYLOAD with the first problems and where they are; INVALID_SCHEMA when the
 * schema itself failed.
 */
export function validate<In, Out>(schema: Schema<In, Out>, type: string, value: unknown): Out | Promise<Out> {
  let result: ReturnType<Schema<In, Out>["~standard"]["validate"]>;
  try {
    result = schema["~standard"].validate(value);
  } catch (error) {
    throw schemaFailed(type, error);
  }
  if (!("then" in result)) return outputOf(type, result);
  return Promise.resolve(result).then(
    (settled) => outputOf(type, settled),
    (error: unknown) => {
      throw schemaFailed(type, error);
    },
  );
}

function schemaFailed(type: string, error: unknown): BrokerError {
  return new BrokerError(
    "INVALID_SCHEMA",
    `The schema of ${type} failed itself instead of checking the payload: ${describeThrown(error)}.`,
    { type },
    error,
  );
}

function outputOf<Out>(type: string, result: StandardSchemaV1.Result<Out>): Out {
  if (result.issues === undefined) return result.value;
  const shown = result.issues.slice(0, ISSUES_SHOWN).map(describeIssue).join("; ");
  const more = result.issues.length > ISSUES_SHOWN ? `; and ${result.issues.length - ISSUES_SHOWN} more` : "";
  throw new BrokerError(
    "INVALID_PAYLOAD",
    `The payload of ${type} does not fit its schema: ${shown}${more}.`,
    { type, issues: result.issues.length },
  );
}

function describeIssue(issue: StandardSchemaV1.Issue): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}
