import assert from "node:assert/strict";
import { test } from "node:test";
import parse from "parse-prometheus-text-format";
import { type BusStatistics, command, event, openBus, type QueueStatistics } from "../../src/index.js";
import { prometheus } from "../../src/observe/prometheus.js";
import { failsWith, testBus } from "../support/buses.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const Placed = event<{ readonly id: string }>("order.placed");
const Work = command<number>("work");

/** The value of each sample by its name and labels, as a parser of Prometheus's format reads them. */
function samplesOf(text: string): Record<string, number> {
  return Object.fromEntries(
    parse(text).flatMap(({ name, metrics }) =>
      metrics.map(({ labels = {}, value }) => [[name, ...Object.values(labels)].join(" "), Number(value)]),
    ),
  );
}

const NO_QUEUES = { queues: [], topics: [], storage: {} } as unknown as BusStatistics;

/** A queue as far as metrics look at it. */
function queueOf(name: string, published: number, oldestAgeMs: number | undefined): QueueStatistics {
  const queue: Partial<QueueStatistics> = {
    name,
    waiting: 1,
    inFlight: 0,
    delayed: 0,
    deadLetters: 0,
    bytes: 10,
    oldestAgeMs,
    consumers: 0,
    published,
    deadLettersOf: undefined,
    failure: undefined,
    delivered: 0,
    settled: 0,
    duplicates: 0,
    deduplicated: 0,
    redelivered: 0,
    deadLettered: 0,
    expired: 0,
    dropped: 0,
    leasesLost: 0,
  };
  return queue as QueueStatistics;
}

test("every queue, topic and group has its numbers, and so has storage", async (t) => {
  const bus = await testBus(t);
  const metrics = prometheus(bus);
  bus.handle(Work, { concurrency: 1, retry: { attempts: 1 } }, async (number) => {
    if (number === 1) throw new Error("no");
    if (number === 2) return;
    await new Promise(() => {});
  });
  bus.on(Placed, { group: "billing" }, () => {});
  await bus.publishMany(Placed, [{ id: "1" }, { id: "2" }]);
  await bus.settled();
  await bus.topic("order").group("audit", { from: "beginning" }).receiveBatch({ max: 1 });
  await bus.topic("order").group("billing").pause();
  await bus.sendMany(Work, [1, 2, 3, 4]);
  await bus.send(Work, 5, { delay: "1h" });
  await bus.advance("30s");
  const samples = samplesOf(metrics.text());
  const expected = {
    "omnibus_queue_waiting_messages work": 0,
    "omnibus_queue_in_flight_messages work": 2,
    "omnibus_queue_delayed_messages work": 1,
    "omnibus_queue_dead_letters work": 1,
    "omnibus_queue_consumers work": 1,
    "omnibus_queue_failed work": 0,
    "omnibus_queue_paused work": 0,
    "omnibus_group_paused order audit": 0,
    "omnibus_group_paused order billing": 1,
    "omnibus_queue_published_total work": 5,
    "omnibus_queue_delivered_total work": 4,
    "omnibus_queue_settled_total work": 1,
    "omnibus_queue_duplicates_total work": 0,
    "omnibus_queue_deduplicated_total work": 0,
    "omnibus_queue_redelivered_total work": 0,
    "omnibus_queue_dead_lettered_total work": 1,
    "omnibus_queue_expired_total work": 0,
    "omnibus_queue_dropped_total work": 0,
    "omnibus_queue_leases_lost_total work": 0,
    "omnibus_topic_messages order": 2,
    "omnibus_topic_published_total order": 2,
    "omnibus_topic_deduplicated_total order": 0,
    "omnibus_group_lag_messages order billing": 0,
    "omnibus_group_settled_total order billing": 2,
    "omnibus_group_lag_messages order audit": 2,
    "omnibus_group_delivered_total order audit": 1,
    "omnibus_group_redelivered_total order audit": 0,
    "omnibus_group_leases_lost_total order audit": 1,
    "omnibus_group_lost_to_retention_total order audit": 0,
    omnibus_queues: 1,
    omnibus_topics: 1,
    omnibus_groups: 2,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, samples[name]])), expected);
  for (const name of [
    "omnibus_queue_bytes work",
    "omnibus_topic_bytes order",
    "omnibus_storage_commits_total",
  ])
    assert.ok(samples[name]! > 0, name);
  assert.equal(
    Object.keys(samples).some((name) => name.includes("dead/work")),
    false,
  );
});

test("every family says its type and what it is, once, and counters end in _total", async (t) => {
  const bus = await testBus(t);
  bus.on(Placed, { group: "billing" }, () => {});
  await bus.publish(Placed, { id: "1" });
  await bus.queue("waiting").sendMany(["a", "b"]);
  await bus.settled();
  const text = prometheus(bus).text();
  const families = parse(text);
  assert.equal(new Set(families.map(({ name }) => name)).size, families.length);
  for (const { name, type, help, metrics } of families) {
    assert.match(name, /^omnibus_[a-z_]+$/);
    assert.equal(type, name.endsWith("_total") ? "COUNTER" : "GAUGE", name);
    assert.match(help, /\.$/);
    assert.ok(metrics.length > 0, name);
  }
  assert.ok(text.endsWith("\n"));
  assert.equal(prometheus(bus).contentType, "text/plain; version=0.0.4; charset=utf-8");
});

test("the age of the oldest message that waits is known of queues and groups, also after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  {
    await using bus = await openBus(directory);
    await bus.topic("order").group("slow").receiveBatch({ max: 1 });
    await bus.topic("order").publish("1");
    await bus.queue("jobs").send("1");
  }
  await using bus = await openBus(directory);
  const metrics = prometheus(bus);
  // What is not in memory is fetched when it is asked for, and known the next time.
  const ages = () => {
    const samples = samplesOf(metrics.text());
    return [
      samples["omnibus_queue_oldest_age_seconds jobs"],
      samples["omnibus_group_oldest_age_seconds order slow"],
    ];
  };
  while (ages().includes(undefined)) await new Promise((resolve) => setImmediate(resolve));
  for (const age of ages()) assert.ok(age! >= 0 && age! < 60, String(age));
});

test("there are so many series as sourcesMax says, and the rest is one that has the sums", async () => {
  let queues = [queueOf("a", 1, 1000), queueOf("b", 2, undefined)];
  const metrics = prometheus({ statistics: () => ({ ...NO_QUEUES, queues }) }, { sourcesMax: 2 });
  const published = () =>
    Object.entries(samplesOf(metrics.text())).filter(([name]) => name.startsWith("omnibus_queue_published"));
  assert.deepEqual(published(), [
    ["omnibus_queue_published_total a", 1],
    ["omnibus_queue_published_total b", 2],
  ]);
  // One that comes later does not take the place of one that has it, whatever its name.
  queues = [
    queueOf("0", 10, 7000),
    queueOf("a", 1, 1000),
    queueOf("a2", 20, 9000),
    queueOf("b", 2, undefined),
  ];
  assert.deepEqual(published(), [
    ["omnibus_queue_published_total a", 1],
    ["omnibus_queue_published_total b", 2],
    ["omnibus_queue_published_total (other)", 30],
  ]);
  const samples = samplesOf(metrics.text());
  assert.equal(samples["omnibus_queue_oldest_age_seconds (other)"], 9);
  assert.equal(samples["omnibus_queue_oldest_age_seconds b"], undefined);
  assert.equal(samples["omnibus_queues"], 4);
  // One that is gone leaves its place.
  queues = [queueOf("0", 10, 7000), queueOf("a2", 20, 9000), queueOf("b", 2, undefined)];
  assert.deepEqual(published(), [
    ["omnibus_queue_published_total 0", 10],
    ["omnibus_queue_published_total b", 2],
    ["omnibus_queue_published_total (other)", 20],
  ]);
});

test("ten thousand queues and groups are some hundred series", async () => {
  const queues = Array.from({ length: 10_000 }, (_, index) => queueOf(`q${index}`, index, 1));
  const group = { ...queueOf("g", 1, 1), lag: 1, lostToRetention: 0 };
  const groups = Array.from({ length: 10_000 }, (_, index) => ({ ...group, name: `g${index}` }));
  const topics = [{ name: "t", deduplicated: 0, bytes: 0, partitions: [], groups }];
  const lines = prometheus({ statistics: () => ({ ...NO_QUEUES, queues, topics }) })
    .text()
    .split("\n");
  const sampled = (prefix: string) => lines.filter((line) => line.startsWith(prefix)).length;
  assert.equal(sampled("omnibus_queue_settled_total{"), 201);
  assert.equal(sampled("omnibus_group_settled_total{"), 201);
  assert.ok(lines.includes(`omnibus_group_lag_messages{topic="(other)",group="(other)"} 9800`));
});

test("a name that needs escaping is read as it was", () => {
  const name = 'a "quoted\\" name\nof two lines';
  const text = prometheus({ statistics: () => ({ ...NO_QUEUES, queues: [queueOf(name, 1, 1)] }) }).text();
  assert.equal(samplesOf(text)[`omnibus_queue_published_total ${name}`], 1);
});

test("a bound that is none is refused, and so is an option that does not exist", async (t) => {
  const bus = await testBus(t);
  for (const sourcesMax of [-1, 1.5, Number.NaN, "5"])
    await failsWith(
      "INVALID_OPTION",
      () => prometheus(bus, { sourcesMax: sourcesMax as number }),
      /sourcesMax/,
    );
  await failsWith("INVALID_OPTION", () => prometheus(bus, { max: 5 } as object), /no option max/);
});
