// Messages that follow each other on one subject and are handed over together.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Broker } from "../../src/broker/broker.js";
import { type LiveMessage, type MessageRun, UnstoredMessage } from "../../src/broker/live-message.js";
import { constantHeaders, type OutgoingMessage } from "../../src/broker/message.js";
import { memory, openBus } from "../../src/index.js";

class RunOfBodies implements MessageRun {
  readonly subject: string;
  readonly bodies: readonly string[];
  others = -1;

  constructor(subject: string, bodies: readonly string[]) {
    this.subject = subject;
    this.bodies = bodies;
  }

  get count(): number {
    return this.bodies.length;
  }

  at(index: number): OutgoingMessage & LiveMessage {
    const message: OutgoingMessage = {
      subject: this.subject,
      key: null,
      value: this.bodies[index]!,
      headers: constantHeaders(this.subject, undefined),
      expiresAtMs: 0,
      timestampMs: 0,
    };
    const record = new UnstoredMessage(message);
    return { ...message, source: undefined, partition: undefined, record };
  }
}

async function openBroker(t: { after(action: () => Promise<void>): void }): Promise<Broker> {
  const bus = await openBus(memory());
  t.after(() => bus.close());
  assert.ok(bus.engine.broker instanceof Broker);
  return bus.engine.broker;
}

/** Says what it got. */
class Seeing {
  readonly group: string | undefined;
  readonly seen: string[] = [];

  constructor(group?: string) {
    this.group = group;
  }

  offer({ record }: LiveMessage): boolean {
    this.seen.push(record.valueText());
    return true;
  }
}

/** Takes them together. */
class SeeingRuns extends Seeing {
  others: number | undefined = undefined;

  offerRun(run: MessageRun): boolean {
    this.others = run.others;
    for (let index = 0; index < run.count; index += 1) this.seen.push(run.at(index).record.valueText());
    return true;
  }
}

test("everybody who looks on gets each message in order, together or one by one, and a group deals them out", async (t) => {
  const broker = await openBroker(t);
  const [one, together, ...group] = [new Seeing(), new SeeingRuns(), new SeeingRuns("g"), new Seeing("g")];
  broker.live.add("a.*", one);
  broker.live.add("a.b", together);
  for (const member of group) broker.live.add("#", member);
  const run = new RunOfBodies("a.b", ["1", "2", "3", "4"]);
  assert.equal(broker.broadcastRun(run), 3);
  assert.deepEqual(one.seen, ["1", "2", "3", "4"]);
  assert.deepEqual(together.seen, ["1", "2", "3", "4"]);
  assert.equal(together.others, 2);
  assert.deepEqual([...group[0]!.seen, ...group[1]!.seen].sort(), ["1", "2", "3", "4"]);
  assert.equal(group[0]!.seen.length, 2);
});

test("one who is alone is told so, and nobody is nobody", async (t) => {
  const broker = await openBroker(t);
  const run = new RunOfBodies("a", ["1"]);
  assert.equal(broker.broadcastRun(run), 0);
  const alone = new SeeingRuns();
  broker.live.add("a", alone);
  assert.equal(broker.broadcastRun(run), 1);
  assert.equal(alone.others, 0);
});

test("where something is bound, nothing has happened, and each is to be broadcast", async (t) => {
  const broker = await openBroker(t);
  const seeing = new Seeing();
  broker.live.add("#", seeing);
  await broker.declareQueue("kept");
  await broker.bind({ to: { kind: "queue", name: "kept" }, pattern: "kept.#" });
  assert.equal(broker.broadcastRun(new RunOfBodies("kept.a", ["1"])), undefined);
  assert.deepEqual(seeing.seen, []);
  // A subject that nothing is bound to is known to be one after it came a few times.
  const free = new RunOfBodies("free", ["1"]);
  for (let times = 0; times < 3; times += 1) broker.broadcast(free.at(0));
  assert.equal(broker.broadcastRun(free), 1);
  await broker.bind({ to: { kind: "queue", name: "kept" }, pattern: "free" });
  assert.equal(broker.broadcastRun(free), undefined);
});
