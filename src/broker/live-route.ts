// Where live messages of one subject go: each of some receivers, and one of each group.

import type { LiveMessage, LiveReceiver, MessageRun } from "./live-message.js";

export class LiveRoute {
  readonly #all: readonly LiveReceiver[];
  readonly #groups: readonly LiveGroup[];

  /** `turn` is any whole number: it says whose turn it is first. */
  constructor(receivers: readonly LiveReceiver[], turn: number) {
    const isGrouped = receivers.some(({ group }) => group !== undefined);
    this.#all = isGrouped ? receivers.filter(({ group }) => group === undefined) : receivers;
    this.#groups = isGrouped ? groupsOf(receivers, turn) : NO_GROUPS;
  }

  /** Everybody who may be offered a message. */
  get receivers(): readonly LiveReceiver[] {
    return [...this.#all, ...this.#groups.flatMap(({ members }) => members)];
  }

  /** Hot: returns how many took the message. */
  offer(message: LiveMessage): number {
    let taken = 0;
    for (const receiver of this.#all) if (receiver.offer(message)) taken += 1;
    for (const group of this.#groups) if (group.offer(message)) taken += 1;
    return taken;
  }

  /** Hot: returns how many took any of the messages. */
  offerRun(run: MessageRun): number {
    let taken = 0;
    run.others = this.#all.length + this.#groups.length - 1;
    for (const receiver of this.#all) if (offerRun(receiver, run)) taken += 1;
    for (const group of this.#groups) if (offerEach(group, run)) taken += 1;
    return taken;
  }
}

/** Hot: offers messages that follow each other to a receiver; returns whether it took any. */
export function offerRun(receiver: LiveReceiver, run: MessageRun): boolean {
  if (receiver.offerRun !== undefined && receiver.group === undefined) return receiver.offerRun(run);
  return offerEach(receiver, run);
}

/** One by one. */
export function offerEach(receiver: Pick<LiveReceiver, "offer">, run: MessageRun): boolean {
  let isTaken = false;
  for (let index = 0; index < run.count; index += 1) if (receiver.offer(run.at(index))) isTaken = true;
  return isTaken;
}

/** Its members take turns: the next one that takes the message has it. */
class LiveGroup {
  readonly members: readonly LiveReceiver[];
  #next: number;

  constructor(members: readonly LiveReceiver[], turn: number) {
    this.members = members;
    this.#next = turn % members.length;
  }

  offer(message: LiveMessage): boolean {
    const { members } = this;
    for (let tried = 0; tried < members.length; tried += 1) {
      const member = members[this.#next]!;
      this.#next = (this.#next + 1) % members.length;
      if (member.offer(message)) return true;
    }
    return false;
  }
}

const NO_GROUPS: readonly LiveGroup[] = [];

function groupsOf(receivers: readonly LiveReceiver[], turn: number): LiveGroup[] {
  const groups = new Map<string, LiveReceiver[]>();
  for (const receiver of receivers) {
    if (receiver.group === undefined) continue;
    const members = groups.get(receiver.group);
    if (members === undefined) groups.set(receiver.group, [receiver]);
    else members.push(receiver);
  }
  return [...groups.values()].map((members) => new LiveGroup(members, turn));
}
