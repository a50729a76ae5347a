// What happened in a history, for the sums.

export interface Tally {
  crashes: number;
  operations: number;
  readonly faults: Record<string, number>;
}

export function emptyTally(): Tally {
  return {
    crashes: 0,
    operations: 0,
    faults: {
      kill: 0,
      power: 0,
      "failed sync": 0,
      "failed operation": 0,
      "short write": 0,
      "disk full": 0,
      "clock jump": 0,
      "broken opening": 0,
    },
  };
}
