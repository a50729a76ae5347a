import assert from "node:assert/strict";
import { test } from "node:test";
import { command, embedded, event, type LiveMessage, openBus } from "../../src/index.js";
import { collect, diskBus, failsWith, testBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Temperature = event<number>("sensor.kitchen.temperature", { key: () => "kitchen" });
const Humidity = event<number>("sensor.kitchen.humidity");

function shown(message: LiveMessage): string {
  return `${message.subject.split(".").at(-1)} ${message.text()}${message.isRetained ? " retained" : ""}`;
}

async function retainedOf(bus: { retained(pattern: string): AsyncIterable<LiveMessage> }, pattern = "#") {
  return (await collect(bus.retained(pattern))).map(shown);
}

test("the last retained value of each subject is there for who comes later, also after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  const bus = await openBus(directory);
  await bus.publish(Temperature, 20, { retain: true });
  await bus.publish(Temperature, 21, { retain: true, headers: { unit: "C" } });
  await bus.publish(Temperature, 22);
  await bus.publishMany(Humidity, [50, 51], { retain: true });
  assert.deepEqual(await retainedOf(bus), ["temperature 21 retained", "humidity 51 retained"]);
  await bus.close();
  const again = await openBus(directory);
  const [kept] = await collect(again.retained("*.*.temperature"));
  assert.deepEqual(
    [kept!.json(), kept!.key, kept!.headers, kept!.value, kept!.isStored, kept!.source],
    [21, "kitchen", { unit: "C" }, 21, false, ""],
  );
  await again.close();
  const reader = await openBus(embedded({ directory, readOnly: true }));
  assert.deepEqual(await retainedOf(reader, "sensor.kitchen.humidity"), ["humidity 51 retained"]);
  await failsWith("READ_ONLY", () => reader.clearRetained("#"));
  await reader.close();
});

test("a subscription can begin with what is retained, and goes on with what is live, each once", async (t) => {
  const bus = await diskBus(t);
  await bus.publish(Temperature, 1, { retain: true });
  await bus.publish(Humidity, 2, { retain: true });
  const live = bus.subscribe("sensor.#", { retained: true });
  const plain = bus.subscribe("sensor.#");
  await bus.publish(Temperature, 3, { retain: true });
  await bus.publishLive(Humidity, 4);
  const seen: string[] = [];
  for await (const message of live) if (seen.push(shown(message)) === 3) break;
  assert.deepEqual(seen, ["humidity 2 retained", "temperature 3", "humidity 4"]);
  plain.close();
  assert.deepEqual((await collect(plain)).map(shown), ["temperature 3", "humidity 4"]);
});

test("bodies of topics are retained by their subject, an empty one ends it, and clearing counts", async (t) => {
  const bus = await testBus(t);
  const topic = bus.topic("lamp");
  await topic.publish("on", { retain: true });
  await topic.publish("off", { retain: true, subject: "lamp.hall" });
  await topic.publishMany(["a", "b"], { retain: true, subject: "lamp.attic" });
  assert.deepEqual(await retainedOf(bus), ["lamp on retained", "hall off retained", "attic b retained"]);
  await topic.publish("", { retain: true });
  assert.deepEqual(await retainedOf(bus), ["hall off retained", "attic b retained"]);
  assert.equal(await bus.clearRetained("lamp.*"), 2);
  assert.deepEqual(await retainedOf(bus), []);
});

test("what is published to an exchange is retained wherever it is led, also nowhere", async (t) => {
  const bus = await testBus(t);
  const exchange = bus.exchange("x", { kind: "topic" });
  assert.deepEqual(await exchange.publish("lamp.hall", "on", { retain: true }), []);
  await exchange.bind(bus.queue("q"), { pattern: "lamp.#" });
  assert.equal((await exchange.publish("lamp.attic", "off", { retain: true })).length, 1);
  assert.deepEqual(await retainedOf(bus), ["hall on retained", "attic off retained"]);
  await failsWith("UNROUTABLE", () => exchange.publish("x", "on", { retain: true, mustRoute: true }));
  assert.equal((await retainedOf(bus)).length, 2);
});

test("what a handler or a transaction publishes is retained with the rest, or not at all", async (t) => {
  const bus = await testBus(t);
  const Read = command<number>("read");
  bus.handle(Read, { retry: { attempts: 1 } }, async (value, ctx) => {
    await ctx.publish(Temperature, value, { retain: true });
    if (value > 100) throw new Error("too hot");
  });
  await bus.send(Read, 20);
  await bus.send(Read, 200);
  await bus.settled();
  assert.deepEqual(await retainedOf(bus), ["temperature 20 retained"]);
  await assert.rejects(
    bus.transaction(async (tx) => {
      await tx.publish(Humidity, 1, { retain: true });
      throw new Error("no");
    }),
  );
  assert.deepEqual(await retainedOf(bus), ["temperature 20 retained"]);
});

test("what is wrong with retaining is named", async (t) => {
  const directory = await temporaryDirectory(t);
  const bus = await openBus(embedded({ directory, retainedMax: 1 }));
  const Work = command<number>("work");
  const any = (value: unknown) => value as never;
  await failsWith("INVALID_OPTION", () => bus.send(Work, 1, any({ retain: true })), /retain is true/);
  await failsWith("INVALID_OPTION", () => bus.queue("q").send("a", any({ retain: true })), /retain is true/);
  await failsWith(
    "INVALID_OPTION",
    () => bus.publish(Humidity, 1, any({ retain: "yes" })),
    /retain is "yes"/,
  );
  await failsWith(
    "INVALID_OPTION",
    () => bus.publish(Humidity, 1, { retain: true, delay: 1 }),
    /both retained/,
  );
  await bus.publish(Humidity, 1, { retain: true });
  await failsWith("RETAINED_FULL", () => bus.publish(Temperature, 1, { retain: true }), /retainedMax/);
  await failsWith("INVALID_SUBJECT", () => collect(bus.retained("a.>.b")));
  await failsWith("INVALID_OPTION", () => embedded({ directory, retainedMax: 0 }), /retainedMax/);
  await bus.close();
});
