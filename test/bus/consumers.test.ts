import assert from "node:assert/strict";
import { test } from "node:test";
import { command, type Delivery, event } from "../../src/index.js";
import { failsWith, testBus, withBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Job = command<number>("job");
const Placed = event<{ id: string; number: number }>("order.placed", { key: ({ id }) => id });

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

test("handlers that name different consumers share the messages of a queue; the single active one gets them all", async (t) => {
  const bus = await testBus(t);
  await bus.queue("job", { singleActiveConsumer: true }).declare();
  const seen: string[] = [];
  const a = bus.handle(Job, { consumer: "a" }, (number) => void seen.push(`a${number}`));
  bus.handle(Job, { consumer: "b" }, (number) => void seen.push(`b${number}`));
  await bus.sendMany(Job, [1, 2, 3]);
  await bus.settled();
  assert.deepEqual(seen, ["a1", "a2", "a3"]);
  const { members } = await bus.queue("job").statistics();
  assert.deepEqual(
    members.map(({ name, isActive }) => [name, isActive]),
    [
      ["a", true],
      ["b", false],
    ],
  );
  await a.close();
  await bus.send(Job, 4);
  await bus.settled();
  assert.deepEqual(seen.slice(3), ["b4"]);
});

test("two handlers of one message and one consumer are still one too many", async (t) => {
  const bus = await testBus(t);
  bus.handle(Job, { consumer: "a" }, () => undefined);
  await failsWith("DUPLICATE_HANDLER", () => bus.handle(Job, { consumer: "a" }, () => undefined));
  bus.handle(Job, () => undefined);
  await failsWith("DUPLICATE_HANDLER", () => bus.handle(Job, () => undefined));
});

test("a handler of a higher priority gets messages while it has room", async (t) => {
  const bus = await testBus(t);
  const seen: string[] = [];
  const held: (() => void)[] = [];
  const hold = (name: string) => async (number: number) => {
    seen.push(`${name}${number}`);
    await new Promise<void>((resolve) => held.push(resolve));
  };
  bus.handle(Job, { consumer: "spare", prefetch: 1 }, hold("spare "));
  bus.handle(Job, { consumer: "main", prefetch: 2, concurrency: 2, priority: 1 }, hold("main "));
  await bus.sendMany(Job, numbers(3));
  for (let turn = 0; turn < 50 && seen.length < 3; turn += 1) await new Promise(setImmediate);
  assert.deepEqual(seen.toSorted(), ["main 0", "main 1", "spare 2"]);
  for (const release of held) release();
  await bus.settled();
});

test("balance by key: a key has its handler, on disk and under concurrency, and its messages keep their order", async (t) => {
  await withBus(await temporaryDirectory(t), async (bus) => {
    const queue = await bus.queue("work", { balance: "key" }).declare();
    const seen: { by: string; key: string; text: string }[] = [];
    for (const by of ["a", "b", "c"]) {
      queue.consume({ consumer: by, concurrency: 4 }, (message) => {
        seen.push({ by, key: message.key!, text: message.text() });
      });
    }
    for (let round = 0; round < 5; round += 1)
      await Promise.all(numbers(20).map((key) => queue.send(String(round), { key: `k${key}` })));
    while (seen.length < 100) await new Promise(setImmediate);
    for (const key of numbers(20)) {
      const of = seen.filter((one) => one.key === `k${key}`);
      assert.deepEqual(
        of.map(({ text }) => text),
        ["0", "1", "2", "3", "4"],
      );
      assert.equal(new Set(of.map(({ by }) => by)).size, 1);
    }
    assert.ok(new Set(seen.map(({ by }) => by)).size > 1);
  });
});

test("each partition of a group has one handler, which hears of it, and a handler that leaves moves its own only", async (t) => {
  const bus = await testBus(t);
  await bus.topic("order", { partitions: 4 }).declare();
  const group = await bus
    .topic("order")
    .group("mail", { assignment: "partitions", from: "beginning" })
    .declare();
  const seen: { by: string; partition: number }[] = [];
  const heard: string[] = [];
  const handlingOf = (consumer: string) =>
    bus.on(
      Placed,
      {
        group: "mail",
        consumer,
        onAssigned: (partitions) => heard.push(`${consumer}+${partitions.join()}`),
        onRevoked: (partitions) => heard.push(`${consumer}-${partitions.join()}`),
      },
      (_, ctx) => void seen.push({ by: consumer, partition: ctx.message.partition! }),
    );
  const a = handlingOf("a");
  handlingOf("b");
  await bus.publishMany(
    Placed,
    numbers(40).map((number) => ({ id: `o-${number}`, number })),
  );
  await bus.settled();
  assert.equal(seen.length, 40);
  const ownersOf = (partition: number) =>
    new Set(seen.filter((one) => one.partition === partition).map(({ by }) => by));
  for (const partition of numbers(4)) assert.equal(ownersOf(partition).size, 1);
  const before = (await group.statistics()).members;
  assert.deepEqual(
    before.map(({ name, partitions }) => [name, partitions!.length]),
    [
      ["a", 2],
      ["b", 2],
    ],
  );
  await a.close();
  await bus.settled();
  assert.deepEqual((await group.statistics()).members[0]!.partitions, [0, 1, 2, 3]);
  assert.ok(heard.includes(`a-${before[0]!.partitions!.join()}`));
  assert.ok(heard.includes(`b+${before[0]!.partitions!.join()}`));
});

test("receivers are consumers too, with a name, a priority and partitions", async (t) => {
  const bus = await testBus(t);
  const topic = await bus.topic("order", { partitions: 2 }).declare();
  const group = topic.group("mail", { assignment: "partitions", from: "beginning" });
  const heard: (readonly number[])[] = [];
  const one = group.receive({ consumer: "one", onAssigned: (partitions) => heard.push(partitions) });
  const two = group.receive({ consumer: "two", onAssigned: (partitions) => heard.push(partitions) });
  const first: Promise<IteratorResult<Delivery, void>>[] = [one.next(), two.next()];
  await bus.settled();
  for (const number of numbers(20)) await topic.publish("x", { key: `k${number}` });
  const [fromOne, fromTwo] = await Promise.all(first);
  assert.notEqual(fromOne!.value!.message.partition, fromTwo!.value!.message.partition);
  assert.deepEqual(heard.flat().toSorted(), [0, 1]);
  await one.return();
  await two.return();
  assert.deepEqual((await group.statistics()).members, []);
});

test("a receiver that stands by takes nothing, and does not wait for what is not for it", async (t) => {
  const bus = await testBus(t);
  const queue = await bus.queue("work", { singleActiveConsumer: true }).declare();
  const active = queue.receive({ prefetch: 1 });
  const next = active.next();
  await queue.sendMany(["a", "b"]);
  const delivery = (await next).value!;
  assert.equal(delivery.message.text(), "a");
  assert.deepEqual(await queue.receiveBatch({ max: 10 }), []);
  await delivery.ack();
  await active.return();
  assert.equal((await queue.receiveBatch({ max: 10 })).length, 1);
});

test("how consumers share is stored, and what does not go together is refused with its name", async (t) => {
  const directory = await temporaryDirectory(t);
  await withBus(directory, async (bus) => {
    await bus.queue("work", { balance: "fewest", singleActiveConsumer: false }).declare();
    await bus.topic("order").declare();
    await bus.topic("order").group("mail", { assignment: "partitions" }).declare();
  });
  await withBus(directory, async (bus) => {
    await bus.queue("work").declare();
    await bus.queue("work", { balance: "fewest" }).declare();
    await failsWith(
      "QUEUE_MISMATCH",
      () => bus.queue("work", { balance: "key" }).declare(),
      /balance "fewest"/,
    );
    const topic = bus.topic("order");
    await topic.group("mail").declare();
    await failsWith(
      "SUBSCRIPTION_MISMATCH",
      () => topic.group("mail", { assignment: "shared" }).declare(),
      /assignment "partitions"/,
    );
    for (const other of [{ balance: "key" }, { singleActiveConsumer: true }] as const)
      await failsWith(
        "INVALID_OPTION",
        () => topic.group("other", { assignment: "partitions", ...other }).declare(),
        /each partition has one consumer already/,
      );
    await failsWith("INVALID_OPTION", () => bus.queue("x", { balance: "luck" as never }).declare(), /fewest/);
    const handler = () => undefined;
    await failsWith("INVALID_OPTION", () => bus.handle(Job, { priority: 0.5 }, handler), /priority/);
    await failsWith("INVALID_OPTION", () => bus.handle(Job, { consumer: "" }, handler), /consumer/);
    await failsWith(
      "INVALID_OPTION",
      () => bus.handle(Job, { onAssigned: "log" as never }, handler),
      /onAssigned/,
    );
  });
});

test("a batch of a group with partitions comes from all that are free, and takes none from a member that stays", async (t) => {
  const bus = await testBus(t);
  const topic = await bus.topic("order", { partitions: 4 }).declare();
  const group = topic.group("mail", { assignment: "partitions", from: "beginning" });
  await Promise.all(numbers(40).map((number) => topic.publish(String(number), { key: `k${number}` })));
  const batch = await group.receiveBatch({ max: 100 });
  assert.equal(batch.length, 40);
  const stream = group.receive({ consumer: "stays" });
  const next = stream.next();
  for (const delivery of batch) await delivery.ack();
  await Promise.all(numbers(40).map((number) => topic.publish(String(number), { key: `k${number}` })));
  assert.equal((await next).done, false);
  assert.deepEqual(await group.receiveBatch({ max: 100 }), [], "all are with the one that stays, and in use");
  await stream.return();
  assert.equal((await group.receiveBatch({ max: 100 })).length, 40);
});
