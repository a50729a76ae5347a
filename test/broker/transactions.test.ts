import assert from "node:assert/strict";
import { test } from "node:test";
import type { Broker } from "../../src/broker/broker.js";
import type { Delivery } from "../../src/broker/delivery.js";
import type { Queue } from "../../src/broker/queue.js";
import type { Topic } from "../../src/broker/topic.js";
import { isBrokerError } from "../../src/broker-error.js";
import { BrokerWorld, message } from "../support/broker-world.js";
import { systemError } from "../support/simulated-disk.js";
import { TestConsumer, textOf } from "../support/test-consumer.js";

const SEEDS = 80;

interface Shop {
  readonly broker: Broker;
  readonly work: Queue;
  readonly mail: Queue;
  readonly order: Topic;
}

async function opened(world: BrokerWorld): Promise<Shop> {
  const broker = await world.open();
  const work = await broker.declareQueue("work");
  const mail = await broker.declareQueue("mail", { messageBytesMax: 1_000, countMax: 1_000 });
  const order = await broker.declareTopic("order", { partitions: 2 });
  await broker.declareSubscription("order", "billing");
  return { broker, work, mail, order };
}

async function publish({ broker, work }: Shop, values: readonly string[]): Promise<void> {
  for (const value of values) work.append(message(value));
  await broker.flush();
}

/** Settles with one message to the queue and one to the topic, both with the text of the delivery. */
function commit({ broker, mail, order }: Shop, deliveries: readonly Delivery[]): Promise<void> {
  return broker.commit(deliveries, () =>
    deliveries.flatMap((delivery) => [
      mail.append(message(textOf(delivery))),
      order.append(message(textOf(delivery), { key: textOf(delivery) })),
    ]),
  );
}

async function texts({ broker, mail, order }: Shop): Promise<{ mail: string[]; order: string[] }> {
  await broker.flush();
  const found = { mail: [] as string[], order: [] as string[] };
  for await (const { record } of mail.browse()) found.mail.push(record.valueText());
  for (let partition = 0; partition < order.partitionCount; partition += 1)
    for await (const record of order.read(partition, { offset: 0 })) found.order.push(record.valueText());
  found.mail.sort();
  found.order.sort();
  return found;
}

async function unsettled(queue: Queue): Promise<string[]> {
  const found: string[] = [];
  for await (const { record } of queue.browse()) found.push(record.valueText());
  return found;
}

test("outputs are stored with the settlement of their inputs, and neither is seen before both are", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  await publish(shop, ["a", "b", "c"]);
  const one = new TestConsumer(shop.work.dispatcher);
  await world.quiet();
  const [a, b] = one.takeAll();
  const committed = commit(shop, [a!, b!]);
  assert.equal(a!.isLeased, false);
  assert.equal(shop.work.unsettledCount, 3);
  assert.equal(shop.work.dispatcher.counters.settled, 0);
  await committed;
  assert.equal(shop.work.unsettledCount, 1);
  assert.equal(shop.work.dispatcher.counters.settled, 2);
  assert.deepEqual(await texts(shop), { mail: ["a", "b"], order: ["a", "b"] });
  await shop.broker.close();
});

test("a delivery that is on its way to disk keeps its slot, cannot be settled again, and its lease does not run out", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  await publish(shop, ["a", "b"]);
  const one = new TestConsumer(shop.work.dispatcher, { prefetch: 1, leaseMs: 1_000 });
  await world.quiet();
  const a = one.take("a");
  const committed = commit(shop, [a]);
  assert.equal(one.consumer.credit, 0);
  assert.equal(one.consumer.inFlight, 1);
  for (const again of [() => a.ack(), () => a.release(), () => a.extend(1), () => void commit(shop, [a])])
    assert.throws(again, (error) => isBrokerError(error, "LEASE_LOST"));
  await committed;
  await world.quiet();
  one.take("b");
  await shop.broker.close();
});

test("an output that is refused leaves nothing, and the inputs stay leased", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  const full = await shop.broker.declareQueue("full", { countMax: 1 });
  full.append(message("x"));
  await publish(shop, ["a"]);
  const one = new TestConsumer(shop.work.dispatcher);
  await world.quiet();
  const a = one.take("a");
  const refusals: readonly (readonly [string, () => void])[] = [
    ["QUEUE_FULL", () => full.append(message("y"))],
    ["MESSAGE_TOO_LARGE", () => shop.mail.append(message("y".repeat(1_001)))],
  ];
  for (const [code, refused] of refusals) {
    const append = () => {
      const appended = [shop.mail.append(message("a")), shop.order.append(message("a"))];
      refused();
      return appended;
    };
    assert.throws(
      () => void shop.broker.commit([a], append),
      (error) => isBrokerError(error) && error.code === code,
    );
  }
  assert.equal(a.isLeased, true);
  assert.deepEqual(await texts(shop), { mail: [], order: [] });
  assert.deepEqual(world.reported, []);
  a.ack();
  await world.pass(20);
  await shop.broker.close();
});

test("a disk that is full leaves nothing; the inputs are leased anew and can be committed when there is room", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  await publish(shop, ["a"]);
  const one = new TestConsumer(shop.work.dispatcher, { leaseMs: 1_000 });
  await world.quiet();
  const a = one.take("a");
  world.disk.capacityBytes = 0;
  await assert.rejects(commit(shop, [a]), (error) => isBrokerError(error, "DISK_FULL"));
  assert.equal(a.isLeased, true);
  assert.equal(shop.work.unsettledCount, 1);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.pass(999);
  assert.equal(a.isLeased, true);
  await commit(shop, [a]);
  assert.deepEqual(await texts(shop), { mail: ["a"], order: ["a"] });
  assert.equal(shop.work.unsettledCount, 0);
  await shop.broker.close();
});

test("after a failure of the storage nobody gets the inputs before the next start, which knows what became of them", async () => {
  for (const isInJournal of [true, false]) {
    const world = new BrokerWorld();
    const shop = await opened(world);
    await publish(shop, ["a"]);
    const one = new TestConsumer(shop.work.dispatcher, { leaseMs: 1_000 });
    await world.quiet();
    const a = one.take("a");
    const broken = isInJournal ? ".mail/" : "/journal/";
    world.disk.onOperation = ({ kind, path }) => {
      if (kind === "write" && path.includes(broken)) throw systemError("EIO", path);
      return undefined;
    };
    await assert.rejects(commit(shop, [a]), (error) => isBrokerError(error, "STORAGE_FAILED"));
    assert.throws(
      () => a.ack(),
      (error) => isBrokerError(error, "LEASE_LOST"),
    );
    await world.pass(60_000);
    assert.deepEqual(one.values, []);
    world.disk.onOperation = () => undefined;
    world.crash();
    const again = await opened(world);
    const left = await unsettled(again.work);
    const stored = left.length === 0 ? ["a"] : [];
    assert.deepEqual(await texts(again), { mail: stored, order: stored });
    assert.equal(left.length, isInJournal ? 0 : 1);
    await again.broker.close();
  }
});

test("one lease that was lost refuses all, and nothing is stored", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  await publish(shop, ["a", "b"]);
  const one = new TestConsumer(shop.work.dispatcher, { leaseMs: 1_000 });
  await world.quiet();
  const [a, b] = one.takeAll();
  b!.extend(60_000);
  await world.pass(1_000);
  assert.throws(
    () => void commit(shop, [b!, a!]),
    (error) => isBrokerError(error, "LEASE_LOST"),
  );
  assert.equal(b!.isLeased, true);
  assert.deepEqual(await texts(shop), { mail: [], order: [] });
  await shop.broker.close();
});

test("outputs of a message that is in memory are stored, and nothing is said of it", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  const ticks = await shop.broker.declareTopic("ticks", { durability: "memory" });
  const { dispatcher } = await shop.broker.declareSubscription("ticks", "clock");
  ticks.append(message("a"));
  const one = new TestConsumer(dispatcher);
  await world.quiet();
  await commit(shop, [one.take("a")]);
  assert.equal(dispatcher.states[0]!.unsettledCount, 0);
  world.crash(true);
  const again = await opened(world);
  assert.deepEqual(await texts(again), { mail: ["a"], order: ["a"] });
  await again.broker.close();
});

test("a consumer that is closed gives back what could not be committed", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  await publish(shop, ["a"]);
  const one = new TestConsumer(shop.work.dispatcher);
  await world.quiet();
  const a = one.take("a");
  world.disk.capacityBytes = 0;
  const committed = commit(shop, [a]);
  one.consumer.close();
  assert.equal(shop.work.dispatcher.consumers.length, 1);
  await assert.rejects(committed, (error) => isBrokerError(error, "DISK_FULL"));
  assert.equal(shop.work.dispatcher.consumers.length, 0);
  assert.equal(a.isLeased, false);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  const two = new TestConsumer(shop.work.dispatcher);
  await world.quiet();
  assert.equal(two.take("a").attempt, 1);
  await shop.broker.close();
});

test("the next message of a key waits until the one before is committed, and of other keys does not", async () => {
  const world = new BrokerWorld();
  const shop = await opened(world);
  shop.work.dispatcher.orderByKey();
  for (const [value, key] of [
    ["a", "k"],
    ["b", "k"],
    ["c", "other"],
  ] as const)
    shop.work.append(message(value, { key }));
  await shop.broker.flush();
  const one = new TestConsumer(shop.work.dispatcher);
  await world.quiet();
  const a = one.take("a");
  one.take("c");
  const meanwhile: string[][] = [];
  world.disk.onOperation = () => {
    meanwhile.push(one.values);
    return undefined;
  };
  await commit(shop, [a]);
  assert.ok(meanwhile.length > 0);
  assert.deepEqual(meanwhile.flat(), []);
  await world.quiet();
  one.take("b");
  await shop.broker.close();
});

test("after a crash at any moment the outputs are there if and only if the input is settled", async () => {
  let cut = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const world = new BrokerWorld(seed);
    const shop = await opened(world);
    const values = Array.from({ length: 12 }, (_, index) => String(10 + index));
    await publish(shop, values);
    const one = new TestConsumer(shop.work.dispatcher);
    await world.quiet();
    const deliveries = one.takeAll();
    const answered = new Set<string>();
    if (world.random.chance(0.7)) world.stopDiskAfter(world.random.below(40));
    while (deliveries.length > 0) {
      const some = deliveries.splice(0, 1 + world.random.below(3));
      commit(shop, some).then(
        () => {
          for (const delivery of some) answered.add(textOf(delivery));
        },
        () => undefined,
      );
      if (world.random.chance(0.3)) await world.turns(world.random.below(4));
    }
    await world.turns(world.random.below(6));
    const promised = [...answered];
    world.crash(world.random.chance(0.5));
    const again = await opened(world);
    const left = await unsettled(again.work);
    const settled = values.filter((value) => !left.includes(value));
    assert.deepEqual(await texts(again), { mail: settled, order: settled }, `seed ${seed}`);
    for (const value of promised) assert.ok(settled.includes(value), `seed ${seed}: ${value} was promised`);
    if (settled.length > 0 && settled.length < values.length) cut += 1;
    await again.broker.close();
  }
  assert.ok(cut > SEEDS / 20, `only ${cut} crashes came between`);
});
