// What a bus may do with one message in one queue or group, over any number of lives, and what it stores in one step.

/** Where the last that happened to it is known: what a kill takes, what only a power failure takes, or neither. */
type Storage = "process" | "system" | "disk";

/** What is stored as one: messages, and the settlement of those that led to them. */
export interface Step {
  readonly messages: Message[];
  readonly calls: Call[];
  /** `pending` until it is asked for; `open` when nobody knows whether it is stored. */
  state: "pending" | "open" | "stored" | "refused";
  /** Why nobody may ever see any of it. */
  reason: string;
}

export interface Times {
  readonly readyAtMs: number;
  readonly expiresAtMs: number;
}

export interface Message extends Times {
  readonly number: number;
  readonly key: string;
  readonly filler: string;
  /** How many handlers led to it. */
  readonly depth: number;
  step: Step;
  /** Its place in its log, once somebody knows it. */
  spot: Spot | undefined;
  /** One for each queue or group that gets it. */
  readonly tasks: Task[];
}

export interface Spot {
  readonly partition: number;
  readonly offset: number;
}

/** One hand-over of a task to a handler, or to who receives by hand. */
export interface Call {
  readonly task: Task;
  readonly attempt: number;
  /** Undefined until it sends something with its answer. */
  step: Step | undefined;
  /** It has answered, or nobody listens to it any more. */
  isOver: boolean;
  /** Its answer says that the message is done. */
  isDone: boolean;
}

export class Task {
  readonly message: Message;
  readonly place: string;
  status: "open" | "settled" | "dying" | "dead" | "gone" = "open";
  storage: Storage = "disk";
  /** How often something happened to it. */
  changes = 0;
  /** How often it may have been tried without success. */
  triesMin = 0;
  triesMax = 0;
  /** Since it was sent, or replayed. */
  calls: Call[] = [];
  running: Call | undefined = undefined;
  /** It was settled, a crash came, and it is not known whether that was forgotten. */
  isDoubtful = false;
  /** Later ones may overtake it. */
  isParked: boolean;
  isReplayed = false;
  /** Whether it is a dead letter is not known: a replay of it failed. */
  isUnknown = false;
  /** A handler asked for its death, or threw what leads there. */
  wasRejected = false;
  /** A retry comes no earlier. */
  notBeforeMs = 0;
  /** Whether it was handed over in this life. */
  isSeen = false;
  /** It was discarded, and a crash may undo that. */
  mayReturn = false;

  constructor(message: Message, place: string) {
    this.message = message;
    this.place = place;
    this.isParked = message.readyAtMs > 0;
  }

  get name(): string {
    return `${this.place}: ${this.message.number}`;
  }

  done(call: Call): void {
    call.isDone = true;
    this.status = "settled";
    this.#over(call);
  }

  /** `delayMs`: how long it waits at least. */
  failed(call: Call, nowMs: number, delayMs: number, keepsTurn: boolean): void {
    this.triesMin += 1;
    this.triesMax += 1;
    this.notBeforeMs = nowMs + delayMs;
    this.isParked ||= delayMs > 0 && !keepsTurn;
    this.#over(call);
  }

  /** Given back, or cut short by a close: the try may count or not. */
  released(call: Call, mayCount: boolean): void {
    if (mayCount) this.triesMax += 1;
    this.#over(call);
  }

  dying(call: Call): void {
    this.status = "dying";
    this.#over(call);
  }

  /** Its last try may count as one without success. */
  mayHaveFailed(): void {
    this.triesMax = Math.max(this.triesMax, this.calls.at(-1)?.attempt ?? 0);
  }

  /** It is sent back from the dead letters, to begin anew. */
  replaying(): void {
    this.status = "open";
    this.storage = "disk";
    this.triesMin = 0;
    this.triesMax = 0;
    this.calls = [];
    this.isDoubtful = false;
    this.isParked = true;
    this.isReplayed = true;
    this.wasRejected = false;
    this.notBeforeMs = 0;
  }

  /** Something happened to it that nothing outside the process knows of. */
  changed(): void {
    this.changes += 1;
    this.storage = "process";
  }

  /** Its first `changes` were handed to the system. */
  storedUntil(changes: number): void {
    const isAll = changes === this.changes && this.running === undefined;
    if (isAll && this.storage === "process") this.storage = "system";
  }

  /** A clean close: all is known, but whether a call that was cut short counts. */
  closed(): void {
    if (this.running !== undefined) this.triesMax += 1;
    this.storage = "disk";
    this.#endLife();
  }

  /** What was not stored may be forgotten; with `isDeep` the message itself, too. */
  crashed(isPower: boolean, isDeep: boolean, attempts: number): void {
    // On its way to the dead letters because it was tried too often.
    if (this.status === "open" && this.triesMax >= attempts) this.triesMax += 1;
    const isStored = this.storage === "disk" || (this.storage === "system" && !isPower);
    const isKnown = isStored && !isDeep && this.status !== "dying";
    if (this.status === "gone") this.mayReturn = true;
    else if (!isKnown) this.#forget();
    this.#endLife();
  }

  #forget(): void {
    this.mayHaveFailed();
    this.triesMin = 0;
    this.notBeforeMs = 0;
    this.isDoubtful ||= this.status !== "open";
    this.status = "open";
  }

  #endLife(): void {
    this.running = undefined;
    this.isSeen = false;
  }

  #over(call: Call): void {
    call.isOver = true;
    this.changed();
    if (this.running === call) this.running = undefined;
  }
}
