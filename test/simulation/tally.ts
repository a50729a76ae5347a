// What happened in a history, for the sums.

const FAULTS = [
  "kill",
  "power",
  "lost write",
  "torn write",
  "lost name",
  "reordered answer",
  "failed sync",
  "failed read",
  "failed operation",
  "short write",
  "disk full",
  "slow disk",
  "bit flip",
  "clock jump",
  "broken opening",
  "failed opening",
  "blocked loop",
] as const;
export type FaultKind = (typeof FAULTS)[number];

export interface Tally {
  crashes: number;
  operations: number;
  readonly faults: Record<FaultKind, number>;
}

export function emptyTally(): Tally {
  const faults = Object.fromEntries(FAULTS.map((kind) => [kind, 0])) as Record<FaultKind, number>;
  return { crashes: 0, operations: 0, faults };
}
