// Places in a topic, as applications name them: where a group begins, and where it is moved to.

import type { SeekPosition, StartPosition } from "../broker/positions.js";
import { invalidOption, validDate, wholeNumber } from "./option-checks.js";

/** Where a group that is new begins. */
export type GroupStart =
  /** At what is published from then on. */
  | "new"
  /** At the first message that is kept. */
  | "beginning"
  /** At an offset, of a topic with one partition. */
  | { readonly offset: number }
  /** At the first message published then or later. */
  | { readonly time: Date };

/** Where a group is moved to. */
export type GroupPlace =
  | "beginning"
  /** Behind everything that is there. */
  | "end"
  /** In one partition; the others stay where they are. It may be left out where there is only one. */
  | { readonly offset: number; readonly partition?: number }
  | { readonly time: Date };

/** Errors: INVALID_OPTION. */
export function startPosition(from: GroupStart): StartPosition {
  return position<"new" | "beginning">("from", from, ["new", "beginning"]);
}

/** Errors: INVALID_OPTION. */
export function seekPosition(to: GroupPlace): SeekPosition {
  return position<"beginning" | "end">("to", to, ["beginning", "end"]);
}

function position<T extends string>(
  option: string,
  place: T | { readonly offset: number; readonly partition?: number } | { readonly time: Date },
  words: readonly T[],
): T | { offset: number; partition?: number } | { timestampMs: number } {
  if (typeof place === "string" && words.includes(place)) return place;
  if (typeof place !== "object" || place === null || !("offset" in place || "time" in place))
    throw invalidOption(option, place, `one of ${words.join(", ")}, { offset } or { time }`);
  if ("time" in place) return { timestampMs: validDate(`${option}.time`, place.time).getTime() };
  const { offset, partition } = place;
  return {
    offset: wholeNumber(`${option}.offset`, offset, 0),
    ...(partition === undefined ? {} : { partition: wholeNumber(`${option}.partition`, partition, 0) }),
  };
}
