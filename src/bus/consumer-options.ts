// What applications say about one of several consumers of a queue or group, and how these share its messages.

import type { Balance } from "../broker/consumer-choice.js";
import type { Assignment } from "../broker/dealing.js";
import type { Capabilities } from "../engines/engine.js";
import { invalidOption } from "./option-checks.js";
import type { IfSupported } from "./supported.js";

interface NamedOptions {
  /**
   * Handlers of one queue or group share a consumer, unless they name different ones: then each of these gets messages of
   * its own, and needs a handler for whatever comes. Shown in statistics. @default one for all
   */
  readonly consumer?: string;
}

interface PriorityOptions {
  /** Consumers with less get messages only while none of those with more takes any. A whole number. @default 0 */
  readonly priority?: number;
}

interface MemberOptions {
  /** Hears of partitions that are this consumer's alone from now on, in a group with `assignment: "partitions"`. */
  readonly onAssigned?: (partitions: readonly number[]) => void;
  /** Hears of partitions that are not this consumer's any more, when it has answered for all that it had of them. */
  readonly onRevoked?: (partitions: readonly number[]) => void;
}

/** Options of one consumer, as far as the engine can carry them. */
export type ConsumerOptions<C extends Capabilities = Capabilities> = NamedOptions &
  IfSupported<C["consumerPriority"], PriorityOptions> &
  IfSupported<C["assignment"], MemberOptions>;

/** All that may be given, whatever the engine. */
export type AnyConsumerOptions = NamedOptions & PriorityOptions & MemberOptions;

export const CONSUMER_OPTIONS: readonly string[] = ["consumer", "priority", "onAssigned", "onRevoked"];

interface SingleOptions {
  /** One consumer gets everything, until it has left and settled what it had; the others stand by. @default false */
  readonly singleActiveConsumer?: boolean;
}

interface BalanceOptions {
  /**
   * Who of those with credit gets a message: each in turn, the one with the fewest in flight, or, for `"key"`, always the
   * same one for a key, one message at a time, as long as the consumers stay. @default "credit"
   */
  readonly balance?: Balance;
}

interface AssignmentOptions {
  /** Whether any consumer gets any message, or each partition has its consumer. @default "shared" */
  readonly assignment?: Assignment;
}

/** How the consumers of a queue share its messages, as far as the engine can do it. Cannot be changed. */
export type QueueSharing<C extends Capabilities = Capabilities> = IfSupported<
  C["singleActiveConsumer"],
  SingleOptions
> &
  IfSupported<C["balance"], BalanceOptions>;

/** How the consumers of a group share its messages, as far as the engine can do it. Cannot be changed. */
export type GroupSharing<C extends Capabilities = Capabilities> = QueueSharing<C> &
  IfSupported<C["assignment"], AssignmentOptions>;

export type AnyQueueSharing = SingleOptions & BalanceOptions;
export type AnyGroupSharing = AnyQueueSharing & AssignmentOptions;

/** What is asked whether the engine can do something. */
interface Supporter {
  assertSupports(capability: keyof Capabilities, what: string): void;
}

const SHARING = {
  singleActiveConsumer: "a single active consumer",
  balance: "balancing between consumers",
  assignment: "assigning partitions",
} as const;

export const GROUP_SHARING_OPTIONS = Object.keys(SHARING) as readonly (keyof typeof SHARING)[];
export const QUEUE_SHARING_OPTIONS = GROUP_SHARING_OPTIONS.filter((option) => option !== "assignment");

/** What was given of how consumers share. Errors: NOT_SUPPORTED. */
export function sharingOf(options: AnyGroupSharing, supporter: Supporter): AnyGroupSharing {
  const given = GROUP_SHARING_OPTIONS.filter((option) => options[option] !== undefined);
  for (const option of given) supporter.assertSupports(option, SHARING[option]);
  return Object.fromEntries(given.map((option) => [option, options[option]]));
}

/** The name of a consumer, up to so many characters. */
const CONSUMER_NAME_LENGTH_MAX = 200;

/** The options of one consumer, complete and checked. */
export class ConsumerSettings {
  readonly consumer: string | undefined;
  readonly priority: number;
  readonly onAssigned: ((partitions: readonly number[]) => void) | undefined;
  readonly onRevoked: ((partitions: readonly number[]) => void) | undefined;

  /** Errors: INVALID_OPTION. */
  constructor({ consumer, priority = 0, onAssigned, onRevoked }: AnyConsumerOptions) {
    this.consumer = checkedName(consumer);
    if (!Number.isSafeInteger(priority)) throw invalidOption("priority", priority, "a whole number");
    this.priority = priority;
    this.onAssigned = checkedListener("onAssigned", onAssigned);
    this.onRevoked = checkedListener("onRevoked", onRevoked);
  }

  /** Errors: NOT_SUPPORTED. */
  assertSupported(supporter: Supporter): void {
    if (this.priority !== 0) supporter.assertSupports("consumerPriority", "priorities of consumers");
    if (this.onAssigned !== undefined || this.onRevoked !== undefined)
      supporter.assertSupports("assignment", SHARING.assignment);
  }
}

function checkedName(name: unknown): string | undefined {
  if (name === undefined) return undefined;
  if (typeof name === "string" && name !== "" && name.length <= CONSUMER_NAME_LENGTH_MAX) return name;
  throw invalidOption("consumer", name, `a name of 1 to ${CONSUMER_NAME_LENGTH_MAX} characters`);
}

function checkedListener<T>(option: string, listener: T | undefined): T | undefined {
  if (listener === undefined || typeof listener === "function") return listener;
  throw invalidOption(option, listener, "a function");
}
