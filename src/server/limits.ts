// What connections may use up when nothing is said, and what may be said.

import { invalidOption, knownOptions } from "../bus/option-checks.js";
import type { ConnectionLimits } from "../network/host.js";

const MIB = 1024 * 1024;

export const LIMIT_DEFAULTS: ConnectionLimits = {
  connectionsMax: 10_000,
  handshakeMs: 10_000,
  idleMs: 60_000,
  messageBytesMax: 16 * MIB,
  channelsMax: 2_047,
  subscriptionsMax: 100_000,
  pendingBytesMax: 64 * MIB,
  stallMs: 30_000,
};

/** The least and the most of each. */
export const LIMIT_BOUNDS: Readonly<Record<keyof ConnectionLimits, readonly [min: number, max: number]>> = {
  connectionsMax: [1, 1_000_000],
  handshakeMs: [100, 600_000],
  idleMs: [1_000, 86_400_000],
  messageBytesMax: [1, 64 * MIB],
  channelsMax: [1, 65_535],
  subscriptionsMax: [1, 10_000_000],
  pendingBytesMax: [64 * 1024, 4_096 * MIB],
  stallMs: [1_000, 86_400_000],
};

/** Errors: INVALID_OPTION. */
export function limitsWith(given: Partial<ConnectionLimits> | undefined): ConnectionLimits {
  const known = knownOptions("limits", given, Object.keys(LIMIT_DEFAULTS));
  const limits = { ...LIMIT_DEFAULTS };
  for (const name of Object.keys(LIMIT_DEFAULTS) as (keyof ConnectionLimits)[]) {
    const value = known[name];
    if (value === undefined) continue;
    const [min, max] = LIMIT_BOUNDS[name];
    if (!Number.isSafeInteger(value) || value < min || value > max)
      throw invalidOption(name, value, `a whole number from ${min} to ${max}`);
    limits[name] = value;
  }
  return limits;
}
