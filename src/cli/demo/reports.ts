// What the shop's process tells its parent, one JSON value a line. A line is written only after what it says is true,
// so a process that is killed has never said too much.

import type { BrokerErrorCode } from "../../index.js";
import type { Consumer } from "./shop-types.js";

/** How the shop is started. */
export interface ShopTask {
  readonly directory: string;
  readonly run: string;
  readonly orders: number;
  /** Number of the first order to place; more than `orders` when there is none left. */
  readonly placeFrom: number;
  /** Whether this is the version in which the bugs are fixed. */
  readonly isFixed: boolean;
}

export type Report =
  /** The shop is open. `unfinishedRuns` are earlier runs that never ended; `backlog` is what waited on disk. */
  | {
      readonly kind: "open";
      readonly openMs: number;
      readonly unfinishedRuns: readonly string[];
      readonly backlog: number;
    }
  /** These orders were placed: the receipts are there, the orders are on disk. So many were there before. */
  | { readonly kind: "placed"; readonly first: number; readonly last: number; readonly known: number }
  /** A delivery arrived at a handler. */
  | {
      readonly kind: "start";
      readonly consumer: Consumer;
      readonly order: string;
      readonly attempt: number;
    }
  /** The handler did its work. It counts when the process lives long enough to store that. */
  | { readonly kind: "done"; readonly consumer: Consumer; readonly order: string }
  /** The handler failed. */
  | { readonly kind: "failed"; readonly consumer: Consumer; readonly order: string; readonly isLast: boolean }
  /** All orders are placed, and nothing waits, is in work or is delayed. */
  | { readonly kind: "idle" }
  /** The shop cannot go on. */
  | {
      readonly kind: "broken";
      readonly code: BrokerErrorCode | undefined;
      readonly message: string;
      readonly stack: string | undefined;
    };
