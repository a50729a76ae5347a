// Lengths of time as people write them.

import { invalidOption } from "./option-checks.js";

/** Milliseconds, or a number with a unit: `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"7d"`. */
export type Duration = number | `${number}ms` | `${number}s` | `${number}m` | `${number}h` | `${number}d`;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Whole milliseconds, at least `minMs`. Errors: INVALID_OPTION, naming `option`. */
export function toMs(option: string, duration: Duration, minMs = 0): number {
  const milliseconds = Math.round(typeof duration === "number" ? duration : parse(duration));
  if (Number.isSafeInteger(milliseconds) && milliseconds >= minMs) return milliseconds;
  const least = minMs > 0 ? `, at least ${minMs} ms` : "";
  throw invalidOption(
    option,
    duration,
    `milliseconds, or a number with ms, s, m, h or d such as "30s"${least}`,
  );
}

function parse(text: unknown): number {
  const match = typeof text === "string" ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) : null;
  return match === null ? Number.NaN : Number(match[1]) * UNIT_MS[match[2]!]!;
}
