// What is known of one message in one place.

/** Where the last that happened to a message is known: what a kill takes, what only a power failure takes, or neither. */
export type Storage = "process" | "system" | "disk";

export interface ModelMessage {
  readonly id: string;
  readonly key: string;
  /** In the order of publishing. */
  readonly number: number;
  /** Higher ones overtake. */
  readonly priority: number;
  readonly isDelayed: boolean;
  /** By which way it comes: only those of one way keep their order. */
  readonly way: string;
  /** It may end as a dead letter without a try. */
  mayExpire: boolean;
  isCommitted: boolean;
  /** How often it may have been tried without success. */
  triesMin: number;
  triesMax: number;
  /** An answer was accepted that settled it. After a crash that may be forgotten. */
  isSettled: boolean;
  /** It was settled because somebody said that it is done, and nothing may have undone that. */
  isAcknowledged: boolean;
  storage: Storage;
  /** It was settled, a crash came, and it is not known whether that was forgotten. */
  isInDoubt: boolean;
  /** A crash may have made it come back after it was settled. */
  wasForgotten: boolean;
  /** Whether some consumer was ever given it, or it was set aside: then it is out of the plain order. */
  isOutOfOrder: boolean;
  /** With order by key: later ones of the key may overtake it. */
  isParked: boolean;
  /** It may have to wait for a time. */
  isHeldBack: boolean;
  /** It stands behind those that came meanwhile, or in a log of its own. */
  isReplayed: boolean;
  /** What settles it, its dead letter or a transaction, is under way. */
  isSettling: boolean;
  /** A consumer has sent it to the dead letters. */
  wasBuried: boolean;
  /** It is among the dead letters for certain. */
  isDead: boolean;
  /** It may be, because a replay or discard of it may have been undone. */
  mayBeDead: boolean;
  /** Its publisher was told that it is not stored. */
  isRefused: boolean;
  /** Nothing can be said of it any more. */
  isUnknown: boolean;
}

/** What its publisher knows of a message. */
export type NewMessage = Pick<ModelMessage, "id" | "key" | "number" | "priority" | "isDelayed" | "way">;

export function newMessage(known: NewMessage): ModelMessage {
  return {
    ...known,
    mayExpire: false,
    isCommitted: false,
    triesMin: 0,
    triesMax: 0,
    isSettled: false,
    isAcknowledged: false,
    storage: "disk",
    isInDoubt: false,
    wasForgotten: false,
    isOutOfOrder: known.isDelayed,
    isParked: known.isDelayed,
    isHeldBack: known.isDelayed,
    isReplayed: false,
    isSettling: false,
    wasBuried: false,
    isDead: false,
    mayBeDead: false,
    isRefused: false,
    isUnknown: false,
  };
}
