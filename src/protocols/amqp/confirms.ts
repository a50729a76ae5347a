// Publisher confirms of one channel: what was published is answered in its order, as it is committed.

import type { Appended } from "../../broker/appended.js";
import { Ring } from "../../collections/ring.js";
import type { SocketWriter } from "../../network/socket-writer.js";
import { writeAck, writeNack } from "./wire/basic.js";

const PENDING = 0;
const TAKEN = 1;
const REFUSED = 2;

/** Messages in a row that share their fate: with the same commits, or without any. */
class Run {
  /** The number of its last message. */
  last: number;
  status: typeof PENDING | typeof TAKEN | typeof REFUSED;
  readonly committed: readonly Promise<void>[];

  constructor(
    last: number,
    status: typeof PENDING | typeof TAKEN | typeof REFUSED,
    committed: readonly Promise<void>[],
  ) {
    this.last = last;
    this.status = status;
    this.committed = committed;
  }

  /** Hot. */
  hasCommitsOf(appended: readonly Appended[]): boolean {
    if (this.committed.length !== appended.length) return false;
    for (let i = 0; i < appended.length; i += 1)
      if (this.committed[i] !== appended[i]!.committed) return false;
    return true;
  }
}

const NO_COMMITS: readonly Promise<void>[] = [];

/** Hot: what is published in one turn and committed together costs one promise and one answer. */
export class Confirms {
  private readonly writer: SocketWriter;
  private readonly channel: number;
  private readonly onError: (error: unknown) => void;
  private readonly runs = new Ring<Run>();
  private tail: Run | undefined = undefined;
  private published = 0;
  private answered = 0;
  private isScheduled = false;
  private isEnded = false;
  private readonly answerInTurn: () => void;

  constructor(writer: SocketWriter, channel: number, onError: (error: unknown) => void) {
    this.writer = writer;
    this.channel = channel;
    this.onError = onError;
    this.answerInTurn = () => {
      this.isScheduled = false;
      this.answer();
    };
  }

  /** One message was published: it is confirmed when all of `appended` is committed. */
  taken(appended: readonly Appended[]): void {
    this.published += 1;
    const { tail } = this;
    const status = appended.length === 0 ? TAKEN : PENDING;
    if (tail !== undefined && tail.status === status && tail.hasCommitsOf(appended))
      tail.last = this.published;
    else this.begin(status, appended);
  }

  /** One message was published that nobody may have. */
  refused(): void {
    this.published += 1;
    if (this.tail?.status === REFUSED) this.tail.last = this.published;
    else this.begin(REFUSED, []);
  }

  /** Nothing is answered any more. */
  end(): void {
    this.isEnded = true;
  }

  private begin(status: Run["status"], appended: readonly Appended[]): void {
    const committed = appended.length === 0 ? NO_COMMITS : appended.map((one) => one.committed);
    const run = new Run(this.published, status, committed);
    this.runs.push(run);
    this.tail = run;
    if (status !== PENDING) this.schedule();
    else
      (committed.length === 1 ? committed[0]! : Promise.all(committed)).then(
        () => this.settle(run, TAKEN),
        (error: unknown) => {
          this.onError(error);
          this.settle(run, REFUSED);
        },
      );
  }

  private settle(run: Run, status: Run["status"]): void {
    run.status = status;
    // What follows has other commits.
    if (this.tail === run) this.tail = undefined;
    this.answer();
  }

  /** What is known at once is answered when the turn's messages are all published. */
  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(this.answerInTurn);
  }

  private answer(): void {
    if (this.isEnded) return;
    for (let run = this.runs.peek(); run !== undefined && run.status !== PENDING; run = this.runs.peek()) {
      this.runs.shift();
      if (this.tail === run) this.tail = undefined;
      const next = this.runs.peek();
      if (next !== undefined && next.status === run.status) continue;
      const isMultiple = run.last - this.answered > 1;
      if (run.status === TAKEN) writeAck(this.writer, this.channel, run.last, isMultiple);
      else writeNack(this.writer, this.channel, run.last, isMultiple);
      this.answered = run.last;
    }
  }
}
