// What became of a message that was broadcast: who stores it, and how many looked on.

import type { Appended } from "./appended.js";

export interface Broadcast {
  /** One for each queue and topic that takes it, topics first. */
  readonly appended: readonly Appended[];
  /** How many took it live, at once. What goes to a topic is seen when it is committed there, and not counted. */
  readonly receivers: number;
}

const NOWHERE: readonly Appended[] = [];
/** Hot: one for each number of receivers that is common, so that a live message costs none. */
const LIVE_ONLY: readonly Broadcast[] = Array.from({ length: 64 }, (_, receivers) => ({
  appended: NOWHERE,
  receivers,
}));

/** Of a message that nobody stores. */
export function liveOnly(receivers: number): Broadcast {
  return LIVE_ONLY[receivers] ?? { appended: NOWHERE, receivers };
}
