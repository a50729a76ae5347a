// Lengths of time as people write them.

import { BrokerError } from "../broker-error.js";

/** Milliseconds, or a number with a unit: `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"7d"`. */
export type Duration = number | `${number}ms` | `${number}s` | `${number}m` | `${number}h` | `${number}d`;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Whole milliseconds, at least 0. Errors: INVALID_OPTION, naming `option`. */
export function toMs(option: string, duration: Duration): number {
  const milliseconds = typeof duration === "number" ? duration : parse(duration);
  if (Number.isFinite(milliseconds) && milliseconds >= 0) return Math.round(milliseconds);
  throw new BrokerError(
    "INVALID_OPTION",
    `The option ${option} is ${JSON.stringify(duration)}; give milliseconds, or a number with ms, s, m, h or d such as "30s".`,
    { option, value: String(duration) },
  );
}

function parse(text: unknown): number {
  const match = typeof text === "string" ? /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text) : null;
  return match === null ? Number.NaN : Number(match[1]) * UNIT_MS[match[2]!]!;
}
