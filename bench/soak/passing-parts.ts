// The parts of the mixed load that come and go: requests, live subscriptions, queues and topics that are declared and
// deleted again, schedules.

import { command, deadLetter, event, isBrokerError, type LiveSubscription, reply } from "../../src/index.js";
import type { EmbeddedBus, Part, Tally } from "./mixed-load.js";

/** A live subscription is there for so many ticks, and a schedule. */
const LIFE_TICKS = 50;
const CARE_TICKS = 100;

export async function passingParts(bus: EmbeddedBus, rate: number, tally: Tally): Promise<Part[]> {
  return [
    requests(bus, rate, tally),
    live(bus, rate, tally),
    temporary(bus, tally),
    temporaryTopics(bus, tally),
    schedules(bus, tally),
  ];
}

/** One in ten is refused. */
function requests(bus: EmbeddedBus, rate: number, tally: Tally): Part {
  const Quote = command<{ number: number }, { number: number }, number>("quote");
  bus.handle(Quote, ({ number }) => {
    tally.handled += 1;
    return number % 10 === 3 ? deadLetter("there is no such article") : reply(number * 2);
  });
  let next = 0;
  const ask = async (number: number): Promise<void> => {
    try {
      await bus.request(Quote, { number }, { timeout: "10s" });
    } catch (error) {
      if (!isBrokerError(error, "REQUEST_FAILED")) throw error;
    }
  };
  return {
    name: "requests",
    async tick(tick) {
      await Promise.all(Array.from({ length: Math.ceil(rate / 4) }, () => ask(next++)));
      tally.published += Math.ceil(rate / 4);
      if (tick % CARE_TICKS === 0) await bus.deadLetters.discard({ source: "quote" });
    },
  };
}

/** Subscriptions to patterns that are new each time, each for five seconds. */
function live(bus: EmbeddedBus, rate: number, tally: Tally): Part {
  const open: { readonly subscription: LiveSubscription; readonly untilTick: number }[] = [];
  const ended = new Set<Promise<void>>();
  let next = 0;
  const look = async (subscription: LiveSubscription): Promise<void> => {
    for await (const _message of subscription) tally.handled += 1;
  };
  const closeUntil = (tick: number): void => {
    while (open.length > 0 && open[0]!.untilTick <= tick) open.shift()!.subscription.close();
  };
  return {
    name: "live",
    async tick(tick) {
      closeUntil(tick);
      for (let one = 0; one < rate / 4; one += 1) {
        const number = next++;
        const whenFull = number % 2 === 0 ? "wait" : "drop-oldest";
        const subscription = bus.subscribe(`place.${number}.*`, { buffer: 10, whenFull });
        open.push({ subscription, untilTick: tick + LIFE_TICKS });
        const looking = look(subscription)
          .catch((error: unknown) => tally.fail("live", error))
          .finally(() => ended.delete(looking));
        ended.add(looking);
      }
      for (const number of [next - 1, Math.max(0, next - rate)])
        await bus.publishLive(event<string>(`place.${number}.seen`), "x");
      tally.published += 2;
    },
    async close() {
      closeUntil(Number.POSITIVE_INFINITY);
      await Promise.all(ended);
    },
  };
}

/** A queue with a binding, used and deleted; and one that goes by itself. */
function temporary(bus: EmbeddedBus, tally: Tally): Part {
  let next = 0;
  return {
    name: "temporary queues",
    async tick(tick) {
      if (tick % 2 === 1) return;
      const number = next++;
      const queue = bus.queue(`temporary-${number}`, { bind: [`temporary.${number}.#`] });
      await queue.sendMany(["a", "b", "c", "d"]);
      const deliveries = await queue.receiveBatch({ max: 4, wait: 100 });
      for (const delivery of deliveries) await delivery.ack();
      tally.published += 4;
      tally.handled += deliveries.length;
      await queue.delete();
      if (tick % 10 === 0) await bus.queue(`passing-${number}`, { expiresAfter: "2s" }).send("nobody comes");
    },
  };
}

function temporaryTopics(bus: EmbeddedBus, tally: Tally): Part {
  let next = 0;
  return {
    name: "temporary topics",
    async tick(tick) {
      if (tick % 10 !== 5) return;
      const number = next++;
      const topic = bus.topic(`passing-topic-${number}`, { partitions: 2 });
      const group = topic.group("readers", { from: "beginning" });
      await group.declare();
      await topic.publishMany(["a", "b", "c", "d"]);
      const deliveries = await group.receiveBatch({ max: 4, wait: 100 });
      for (const delivery of deliveries) await delivery.ack();
      tally.published += 4;
      tally.handled += deliveries.length;
      await topic.delete();
    },
  };
}

function schedules(bus: EmbeddedBus, tally: Tally): Part {
  const Due = command<{ name: string }>("due");
  bus.handle(Due, () => {
    tally.handled += 1;
  });
  const names: string[] = [];
  let next = 0;
  return {
    name: "schedules",
    async tick(tick) {
      if (tick % 10 !== 7) return;
      const name = `schedule-${next++}`;
      await bus.schedule(name, { every: "500ms" }, Due, { name });
      names.push(name);
      if (names.length > LIFE_TICKS / 10) await bus.schedules.remove(names.shift()!);
    },
    async close() {
      for (const name of names.splice(0)) await bus.schedules.remove(name);
    },
  };
}
