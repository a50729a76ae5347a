import assert from "node:assert/strict";
import { test } from "node:test";
import { type Capabilities, command, type EngineFactory, event, memory, openBus } from "../../src/index.js";
import { collect, failsWith } from "../support/buses.js";

const NOTHING: Capabilities = {
  delay: false,
  expiry: false,
  orderByKey: false,
  live: false,
  browse: false,
  exchanges: false,
  priorities: false,
  singleActiveConsumer: false,
  consumerPriority: false,
  balance: false,
  assignment: false,
  deduplication: false,
  transactions: false,
  pause: false,
  replay: false,
  temporaryQueues: false,
  schedules: false,
  forwards: false,
  retained: false,
};

/** The embedded engine in memory, as if it could do nothing but the least. */
const plain: EngineFactory = {
  open: async (onError) => {
    const engine = await memory().open(onError);
    return { ...engine, name: "plain", capabilities: NOTHING };
  },
};

const Work = command<number>("work");
const Placed = event<number>("order.placed");

test("what an engine cannot do is refused to callers whose types did not say so, and never weakened", async () => {
  const bus = await openBus(plain);
  const any = (value: unknown) => value as never;
  const handler = () => undefined;
  const verbs: readonly (readonly [() => unknown, RegExp])[] = [
    [() => bus.send(Work, 1, any({ delay: "1s" })), /plain engine cannot do delayed/],
    [() => bus.send(Work, 1, any({ deliverAt: new Date() })), /delayed/],
    [() => bus.publish(Placed, 1, any({ expiresIn: "1s" })), /expire/],
    [() => bus.queue("q").send("a", any({ delay: 1 })), /delayed/],
    [() => bus.handle(Work, any({ orderBy: "key" }), handler), /order by key/],
    [() => bus.on(Placed, any({ group: "g", orderBy: "key" }), handler), /order by key/],
    [() => bus.send(Work, 1, any({ priority: 1 })), /priorities/],
    [() => bus.queue("q", any({ singleActiveConsumer: true })), /single active/],
    [() => bus.topic("t").group("g", any({ balance: "key" })), /balancing/],
    [() => bus.topic("t").group("g", any({ assignment: "partitions" })), /partitions/],
    [() => bus.handle(Work, any({ priority: 1 }), handler), /priorities of consumers/],
    [() => bus.handle(Work, any({ onRevoked: handler }), handler), /partitions/],
    [() => bus.queue("q", any({ priorities: 2 })).declare(), /priorities/],
    [() => bus.exchange("x", any({ kind: "fanout" })), /exchanges/],
    [() => bus.queue("q", { bind: [any({ from: "x" })] }).declare(), /exchanges/],
    [() => bus.queue("q").forwardTo(any({ subject: "s" })), /forwarding/],
    [() => bus.subscribe("#", any({})), /live/],
    [() => bus.publishLive(Placed, 1), /live/],
    [() => bus.request(Work, 1), /requests/],
    [() => bus.gather(Placed, 1), /requests/],
    [() => bus.publish(Placed, 1, any({ retain: true })), /retained/],
    [() => bus.retained("#").next(), /retained/],
    [() => bus.clearRetained("#"), /retained/],
    [() => collect(bus.queue("q").browse()), /looking at messages/],
  ];
  for (const [verb, message] of verbs) await failsWith("NOT_SUPPORTED", verb, message);
  assert.deepEqual(bus.statistics().queues, []);
  const seen: number[] = [];
  bus.handle(Work, any({ orderBy: "none" }), (number) => void seen.push(number));
  await bus.send(Work, 1);
  await bus.drain();
  await bus.close();
});
