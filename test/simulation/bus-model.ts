// A plain model of a bus: which messages there are, and whether what a handler is given, or a dead letter says, may be.

import assert from "node:assert/strict";
import type { DeadLetter } from "../../src/index.js";
import { Held } from "./bus-messages.js";
import { type Call, type Message, type Spot, type Step, Task } from "./bus-task.js";

/** What a handler was given. */
export interface Given {
  readonly attempt: number;
  readonly spot: Spot;
  readonly filler: unknown;
}

export interface ModelOptions {
  readonly isByKey: boolean;
  readonly attempts: number;
  readonly isSynced: boolean;
  readonly isOnce: boolean;
}

/** When a delay is up by the clock of the broker, which is whole. */
const CLOCK_SLACK_MS = 2;

export class BusModel {
  /** The disk failed or was full in this life: what was to be stored may have been tried again. */
  isFaulty = false;
  readonly tasks: Task[] = [];
  readonly #options: ModelOptions;
  readonly #messages: Message[] = [];
  /** By place, partition and key, the last offset that came in plain order in this life. */
  #lastOffsets = new Map<string, number>();

  constructor(options: ModelOptions) {
    this.#options = options;
  }

  /** What will be stored as one. */
  step(calls: readonly Call[] = []): Step {
    return { messages: [], calls: [...calls], state: "pending", reason: "" };
  }

  message(
    step: Step,
    places: readonly string[],
    fields: Omit<Message, "number" | "step" | "spot" | "tasks">,
  ): Message {
    const message: Message = { ...fields, number: this.#messages.length, step, spot: undefined, tasks: [] };
    for (const place of places) message.tasks.push(new Task(message, place));
    this.tasks.push(...message.tasks);
    this.#messages.push(message);
    step.messages.push(message);
    return message;
  }

  /** Several become one: they are stored together. */
  join(steps: readonly Step[], calls: readonly Call[]): void {
    const joined = this.step(calls);
    joined.state = "open";
    joined.messages.push(...steps.flatMap(({ messages }) => messages));
    for (const message of joined.messages) message.step = joined;
    for (const call of calls) call.step = joined;
  }

  /** It is on disk, for all that can be known. */
  stored(step: Step, what: string): void {
    assert.notEqual(step.state, "refused", `${what}, although ${step.reason}`);
    assert.notEqual(step.state, "pending", `${what} before it was asked for`);
    step.state = "stored";
    for (const { task } of step.calls) {
      task.status = "settled";
      task.storage = "disk";
      task.isDoubtful = false;
    }
  }

  /** Nobody may ever see any of it, and it has settled nothing. */
  refuse(step: Step, reason: string): void {
    if (step.state === "refused") return;
    assert.notEqual(
      step.state,
      "stored",
      `half of a step is stored: ${reason}, and ${numbersOf(step)} was seen`,
    );
    step.state = "refused";
    step.reason = reason;
    for (const call of step.calls) {
      const { task } = call;
      if (!call.isDone || task.calls.at(-1) !== call || task.status === "dead") continue;
      task.status = "open";
      task.isDoubtful = false;
      task.mayHaveFailed();
      // It failed with all others, and waits for another try.
      task.isParked ||= this.isFaulty;
    }
  }

  /** Its publisher, who does not know whether it is stored, or was told that it is not, sends it again with the same id. */
  repeating(message: Message): void {
    if (message.step.state === "refused") message.step.state = "open";
  }

  /** A receipt says where it is. */
  placed(message: Message, spot: Spot): void {
    if (message.spot === undefined) message.spot = spot;
    else assert.deepEqual(spot, message.spot, `the receipt of ${message.number} says where it is not`);
  }

  /** A handler was given a message. Checks that it may be, and remembers who has it. */
  begun(place: string, number: number, given: Given, nowMs: number, attemptsMax: number): Call {
    const message = this.#messages[number];
    const task = message?.tasks.find((one) => one.place === place);
    assert.ok(
      message !== undefined && task !== undefined,
      `${place} gives ${number}, which nobody sent there`,
    );
    const what = `${task.name}, attempt ${given.attempt}`;
    if (!task.isReplayed || this.#isWhole(task)) this.stored(message.step, `${what} came`);
    assert.equal(given.filler, message.filler, `${what} is not what was sent`);
    this.#checkTime(task, nowMs, what);
    this.#checkStatus(task, what);
    this.#checkTries(task, given.attempt, attemptsMax, what);
    this.#checkSpot(task, given.spot, what);
    this.#checkOrder(task, nowMs, what);
    for (const { step } of task.calls) if (step !== undefined) this.refuse(step, `${what} came again`);
    const call: Call = { task, attempt: given.attempt, step: undefined, isOver: false, isDone: false };
    task.calls.push(call);
    task.running = call;
    task.status = "open";
    task.changed();
    task.isDoubtful = false;
    task.isSeen = true;
    return call;
  }

  /** A message is among the dead letters. Returns its task. */
  dead(letter: DeadLetter, number: number, nowMs: number): Task {
    const task = this.#messages[number]?.tasks.find(({ place }) => place === letter.source);
    assert.ok(task !== undefined, `${letter.source} has a dead letter of ${number}, which nobody sent there`);
    const what = `the dead letter of ${task.name} (${letter.reason})`;
    if (this.#isWhole(task)) this.stored(task.message.step, what);
    assert.ok(task.status !== "gone" || task.isUnknown || task.mayReturn, `${what} was discarded`);
    if (task.status !== "dead" && task.status !== "gone") this.#checkDeath(task, letter, nowMs, what);
    for (const { step } of task.calls) if (step !== undefined) this.refuse(step, what);
    task.status = "dead";
    task.storage = "disk";
    task.isDoubtful = false;
    return task;
  }

  /** Call what is returned when all that happened until now is stored. */
  flushing(): () => void {
    const changes = this.tasks.map((task) => task.changes);
    return () => {
      for (const [index, count] of changes.entries()) this.#stored(this.tasks[index]!, count);
    };
  }

  /** The handlers ended, and all that they did is stored. */
  drained(): void {
    for (const task of this.tasks) if (task.place !== Held.queue) this.#stored(task, task.changes);
  }

  closed(): void {
    for (const task of this.tasks) task.closed();
    this.#lastOffsets = new Map();
  }

  crashed(isPower: boolean): void {
    const isDeep = isPower && !this.#options.isSynced;
    for (const task of this.tasks) {
      // What failed to be stored with its settlement, or its dead letter, was to be tried later.
      if (this.#mayComeBack(task) || (this.isFaulty && task.status === "dying")) {
        task.isParked = true;
        task.changed();
      }
      task.crashed(isPower, isDeep, this.#options.attempts);
    }
    if (isDeep) this.#forget();
    this.#lastOffsets = new Map();
  }

  /** Nothing was lost, and nothing is left to do. `waiting` says of a place how much is. */
  verifyEnd(): void {
    for (const task of this.tasks) {
      const { step } = task.message;
      if (step.state !== "stored" || task.isUnknown || task.status === "dead" || task.status === "gone")
        continue;
      const last = task.calls.at(-1);
      assert.ok(
        last?.isDone,
        `${task.name} was lost: ${last === undefined ? "it never came" : "it failed, and never came again"}`,
      );
      const led = last.step;
      if (led === undefined || led.messages.length === 0) continue;
      assert.equal(
        led.state,
        "stored",
        `${task.name} was handled, and ${numbersOf(led)}, sent with its answer, was lost`,
      );
    }
  }

  /** Whether a dead letter, or one that was replayed, says that all that was stored with its message is there: it is stored in an atomic step, which lasts. */
  #isWhole({ message }: Task): boolean {
    return this.#options.isSynced || message.step.state === "refused";
  }

  #stored(task: Task, changes: number): void {
    if (!this.#mayComeBack(task)) task.storedUntil(changes);
  }

  #checkTime(task: Task, nowMs: number, what: string): void {
    const { readyAtMs } = task.message;
    const dueMs = task.isReplayed ? 0 : Math.max(readyAtMs, task.notBeforeMs);
    assert.ok(nowMs + CLOCK_SLACK_MS >= dueMs, `${what} came ${dueMs - nowMs} ms before its time`);
  }

  #checkStatus(task: Task, what: string): void {
    if (task.isUnknown) return;
    assert.ok(task.running === undefined, `${what} came while it was being handled`);
    if (task.status === "dying") assert.ok(this.isFaulty, `${what} came although it is a dead letter`);
    else if (task.status === "settled")
      assert.ok(this.#mayComeBack(task), `${what} came although it was settled`);
    else assert.equal(task.status, "open", `${what} came although it is ${task.status}`);
    // Its settlement, or its dead letter, could not be stored: that try failed.
    if (task.status !== "open") task.mayHaveFailed();
  }

  /** What was to be stored with its settlement, its id at least, found no room, or a broken disk. */
  #mayComeBack({ calls }: Task): boolean {
    const step = calls.at(-1)?.step;
    if (this.#options.isOnce && step === undefined) return this.isFaulty;
    return this.isFaulty && step !== undefined && step.state !== "stored";
  }

  #checkTries(task: Task, attempt: number, attemptsMax: number, what: string): void {
    const { triesMin, triesMax, isUnknown } = task;
    const tries = attempt - 1;
    const isExpected = isUnknown || (tries >= triesMin && tries <= triesMax);
    assert.ok(isExpected, `${what} was tried ${triesMin} to ${triesMax} times before`);
    // On its way to the dead letters it counts as a try that nobody sees.
    const isCounted = tries <= task.calls.length || tries >= this.#options.attempts || isUnknown;
    assert.ok(isCounted, `${what} came ${task.calls.length} times before`);
    assert.ok(attempt <= attemptsMax, `${what} may be tried ${attemptsMax} times`);
    task.triesMin = tries;
    task.triesMax = tries;
  }

  #checkSpot(task: Task, spot: Spot, what: string): void {
    const { message, isReplayed, isUnknown } = task;
    if (isReplayed || isUnknown) return;
    message.spot ??= spot;
    assert.deepEqual(spot, message.spot, `${what} came from another place than it was stored at`);
  }

  #checkOrder(task: Task, nowMs: number, what: string): void {
    const isByKey = this.#options.isByKey && task.place !== Held.queue;
    if (isByKey) this.#checkKey(task, nowMs, what);
    if (task.isParked || task.isUnknown || task.isSeen) return;
    const { key, spot } = task.message;
    const line = `${task.place} ${spot!.partition} ${isByKey ? key : ""}`;
    const last = this.#lastOffsets.get(line) ?? -1;
    assert.ok(spot!.offset > last, `${what} came after a later one`);
    this.#lastOffsets.set(line, spot!.offset);
  }

  #checkKey(task: Task, nowMs: number, what: string): void {
    for (const other of this.tasks) {
      if (other === task || other.place !== task.place || other.message.key !== task.message.key) continue;
      assert.ok(
        other.running === undefined,
        `${what} came while ${other.message.number} of its key is handled`,
      );
      if (task.isParked || task.isUnknown || this.#mayBeBehind(other, nowMs)) continue;
      const isEarlier = other.message.spot!.offset < task.message.spot!.offset;
      assert.ok(!isEarlier, `${what} came before ${other.message.number} of its key was handled`);
    }
  }

  #mayBeBehind(task: Task, nowMs: number): boolean {
    const { message, status, calls } = task;
    if (status !== "open" || message.step.state !== "stored" || message.spot === undefined) return true;
    if (task.isParked || task.isUnknown || task.isDoubtful) return true;
    // It may be a dead letter that nobody has looked at.
    return message.expiresAtMs <= nowMs || calls.length >= this.#options.attempts;
  }

  #checkDeath(task: Task, { reason, attempts }: DeadLetter, nowMs: number, what: string): void {
    if (task.isUnknown) return;
    assert.ok(task.running === undefined, `${what} is of a message that is being handled`);
    const isSettled = task.status === "settled" && !this.#mayComeBack(task);
    assert.ok(!isSettled, `${what} is of a message that was settled`);
    if (reason === "expired") {
      assert.ok(nowMs >= task.message.expiresAtMs, `${what} came before its end`);
    } else if (reason === "rejected") {
      assert.ok(task.wasRejected, `${what}: nobody rejected it`);
    } else {
      assert.equal(reason, "attempts-exhausted", what);
      const isSpent = attempts >= this.#options.attempts && task.calls.length >= this.#options.attempts;
      assert.ok(isSpent, `${what} counts ${attempts} attempts, and ${task.calls.length} were made`);
    }
  }

  /** Logs that are not synced lose what they had, and of a step perhaps a part. */
  #forget(): void {
    for (const message of this.#messages) {
      message.spot = undefined;
      if (message.step.state === "stored") message.step.state = "open";
      message.step.calls.length = 0;
    }
    for (const { calls } of this.tasks) for (const call of calls) call.step = undefined;
  }
}

function numbersOf({ messages }: Step): string {
  return messages.map(({ number }) => number).join(", ");
}
