// Where a queue sends its dead letters when it does not keep them itself.

import { parseSubject } from "./subject.js";

/** A queue by its name, or an exchange, which leads them on as it does what is published. It need not be there. */
export interface DeadLetterTarget {
  readonly kind: "queue" | "exchange";
  /** Of an exchange, the empty one is the bus itself. */
  readonly name: string;
  /** Under which subject. @default the message's own */
  readonly subject?: string | undefined;
}

/** What is wrong with it; undefined when nothing is. Errors: INVALID_SUBJECT. */
export function targetProblem(value: unknown): string | undefined {
  const wanted = 'give such as { kind: "exchange", name: "failed" }';
  if (typeof value !== "object" || value === null) return wanted;
  const { kind, name, subject, ...others } = value as Partial<Record<keyof DeadLetterTarget, unknown>>;
  if (kind !== "queue" && kind !== "exchange") return wanted;
  if (typeof name !== "string" || Object.keys(others).length > 0) return wanted;
  if (subject !== undefined) parseSubject(subject as string);
  return undefined;
}
