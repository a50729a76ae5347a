import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { ConsumerOptions } from "../../src/broker/consumer.js";
import type { SubscriptionOptions } from "../../src/broker/limits.js";
import type { Topic } from "../../src/broker/topic.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { collect } from "../support/buses.js";
import { TestConsumer } from "../support/test-consumer.js";

const PARTITIONS = 4;

async function declared(world: BrokerWorld, options: Partial<SubscriptionOptions> = {}) {
  const broker = await world.open();
  const topic = await broker.declareTopic("order", { partitions: PARTITIONS });
  const group = await broker.declareSubscription("order", "mail", { assignment: "partitions", ...options });
  return { broker, topic, dispatcher: group.dispatcher };
}

/** Keys of which each lies in the partition of its index. */
function keysOf(topic: Topic): string[] {
  const keys: string[] = [];
  for (let number = 0; keys.filter(Boolean).length < PARTITIONS; number += 1) {
    const { partition } = topic.append(message("probe", { key: `k${number}` }));
    keys[partition!] ??= `k${number}`;
  }
  return keys;
}

async function publish(
  world: BrokerWorld,
  broker: Broker,
  topic: Topic,
  keys: readonly string[],
  value: string,
) {
  for (const key of keys) topic.append(message(value, { key }));
  await broker.flush();
  await world.quiet();
}

class Member extends TestConsumer {
  readonly heard: string[];

  constructor(
    dispatcher: ConstructorParameters<typeof TestConsumer>[0],
    options: Partial<ConsumerOptions> = {},
  ) {
    const heard: string[] = [];
    super(dispatcher, {
      leaseMs: 10_000,
      onAssigned: (partitions) => heard.push(`+${partitions.join()}`),
      onRevoked: (partitions) => heard.push(`-${partitions.join()}`),
      ...options,
    });
    this.heard = heard;
  }

  get partitions(): number[] {
    return [...new Set(this.waiting.map(({ partition }) => partition!))].toSorted();
  }
}

/** One member, which has a message of each partition. */
async function alone(world: BrokerWorld, value: string, options: Partial<ConsumerOptions> = {}) {
  const { broker, topic, dispatcher } = await declared(world);
  const a = new Member(dispatcher, options);
  await world.quiet();
  const keys = keysOf(topic);
  await publish(world, broker, topic, keys, value);
  return { broker, topic, dispatcher, a, keys };
}

test("each partition has one member, and members hear of what they get", async () => {
  const world = new BrokerWorld();
  const { broker, topic, dispatcher } = await declared(world);
  const a = new Member(dispatcher);
  const b = new Member(dispatcher);
  await world.quiet();
  const keys = keysOf(topic);
  await publish(world, broker, topic, keys, "one");
  await publish(world, broker, topic, keys, "two");
  assert.deepEqual([a.heard, b.heard].flat().length, 2);
  assert.equal(a.partitions.length, 2);
  assert.equal(b.partitions.length, 2);
  assert.deepEqual([...a.partitions, ...b.partitions].toSorted(), [0, 1, 2, 3]);
  assert.deepEqual(dispatcher.partitionsOf(a.consumer), a.partitions);
  await broker.close();
});

test("a partition that moves is handed over when its member has settled all that it had; the others go on meanwhile", async () => {
  const world = new BrokerWorld();
  const { broker, topic, dispatcher, a, keys } = await alone(world, "before");
  assert.deepEqual(a.heard, ["+0,1,2,3"]);
  const had = a.takeAll();
  const b = new Member(dispatcher);
  await publish(world, broker, topic, keys, "after");
  assert.deepEqual(b.heard, []);
  const kept = dispatcher.partitionsOf(a.consumer)!.length;
  assert.equal(kept, PARTITIONS, "all four are still its own");
  assert.equal(a.partitions.length, 2, "it gets nothing more of those that move");
  const moving = [0, 1, 2, 3].filter((partition) => !a.partitions.includes(partition));
  for (const delivery of had) if (delivery.partition === moving[0]) delivery.ack();
  await world.quiet();
  assert.deepEqual([a.heard.at(-1), b.heard], [`-${moving[0]}`, [`+${moving[0]}`]]);
  assert.deepEqual(b.values, ["after"]);
  for (const delivery of had) if (delivery.partition === moving[1]) delivery.release();
  await world.quiet();
  assert.deepEqual(b.heard, [`+${moving[0]}`, `+${moving[1]}`]);
  assert.deepEqual(b.values.slice(0, 1), ["after"]);
  assert.ok(b.values.includes("before"), "what it gave back");
  await broker.close();
});

test("a member that loses its leases loses the partition; one that is stuck holds nobody up for longer", async () => {
  const world = new BrokerWorld();
  const { broker, dispatcher, a } = await alone(world, "one");
  const b = new Member(dispatcher);
  await world.quiet();
  assert.deepEqual(b.values, []);
  await world.pass(10_001);
  assert.equal(b.partitions.length, 2);
  assert.ok(b.waiting.every(({ attempt }) => attempt === 2));
  assert.equal(a.heard.length, 2);
  await broker.close();
});

test("one that leaves moves its own partitions only, and hears of it", async () => {
  const world = new BrokerWorld();
  const { broker, topic, dispatcher } = await declared(world);
  const [a, b, c] = [new Member(dispatcher), new Member(dispatcher), new Member(dispatcher)];
  await world.quiet();
  const before = [a, b, c].map(({ consumer }) => dispatcher.partitionsOf(consumer)!);
  b.consumer.close();
  await world.quiet();
  assert.deepEqual(b.heard.at(-1), `-${before[1]!.join()}`);
  for (const [index, one] of [a, b, c].entries()) {
    if (one === b) continue;
    const after = dispatcher.partitionsOf(one.consumer)!;
    assert.ok(before[index]!.every((partition) => after.includes(partition)));
    assert.equal(after.length, 2);
  }
  a.consumer.stop();
  c.consumer.stop();
  assert.equal(a.heard.at(-1)![0], "-");
  const d = new Member(dispatcher);
  await publish(world, broker, topic, keysOf(topic), "later");
  assert.deepEqual(d.heard, ["+0,1,2,3"]);
  await broker.close();
});

test("more members than partitions: some have none, and take over when another leaves", async () => {
  const world = new BrokerWorld();
  const { broker, topic, dispatcher } = await declared(world);
  const members = Array.from({ length: 6 }, () => new Member(dispatcher));
  await world.quiet();
  assert.deepEqual(
    members.map(({ heard }) => heard.length),
    [1, 1, 1, 1, 0, 0],
  );
  const keys = keysOf(topic);
  await publish(world, broker, topic, keys, "x");
  assert.ok(members.slice(0, 4).every(({ partitions }) => partitions.length === 1));
  assert.equal(members[5]!.consumer.hasReady, false);
  members[2]!.consumer.close();
  await world.quiet();
  assert.equal(members[4]!.partitions.length + members[5]!.partitions.length, 1);
  await broker.close();
});

test("a group of partitions goes on after a crash, and its dead letters come back to one member", async () => {
  const world = new BrokerWorld();
  const { a } = await alone(world, "one");
  const had = a.takeAll();
  had[0]!.ack();
  await had[1]!.deadLetter("rejected", "no");
  await world.pass(20);
  world.crash();
  const again = await world.open();
  const group = again.topic("order")!.subscriptions.get("mail")!;
  assert.equal(group.options.assignment, "partitions");
  const members = [new Member(group.dispatcher), new Member(group.dispatcher)];
  await world.quiet();
  const letters = await collect(again.deadLetters.list("order/mail"));
  assert.equal(letters.length, 1);
  const before = members.flatMap(({ waiting }) => waiting.length).reduce((sum, one) => sum + one);
  await again.deadLetters.replay(letters);
  await world.quiet();
  const all = members.flatMap(({ waiting }) => waiting);
  assert.equal(all.length, before + 1);
  assert.equal(all.filter(({ partition }) => partition === undefined).length, 1);
  await again.close();
});

test("a listener that throws is reported and holds nobody up", async () => {
  const world = new BrokerWorld();
  const { broker, topic, dispatcher } = await declared(world);
  const a = new TestConsumer(dispatcher, {
    onAssigned: () => {
      throw new Error("no disk for these");
    },
  });
  await publish(world, broker, topic, ["k"], "one");
  assert.deepEqual(a.values, ["one"]);
  assert.match(String(world.reported[0]!.error), /no disk for these/);
  await broker.close();
});

test("delayed and retried messages of a partition come to whoever has it when they are due", async () => {
  const world = new BrokerWorld();
  const patient = { prefetch: 100, leaseMs: 1_000_000 };
  const { broker, dispatcher, a } = await alone(world, "one", patient);
  for (const delivery of a.takeAll()) delivery.nack({ delayMs: 5_000, error: "later", keepsTurn: true });
  const b = new Member(dispatcher, patient);
  await world.pass(5_001);
  assert.equal(a.partitions.length, 2);
  assert.equal(b.partitions.length, 2);
  await broker.close();
});
