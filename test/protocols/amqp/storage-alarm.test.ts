import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerError } from "../../../src/broker-error.js";
import { type AlarmListener, StorageAlarm } from "../../../src/protocols/amqp/storage-alarm.js";
import { Uncommitted } from "../../../src/protocols/amqp/uncommitted.js";
import { VirtualClock } from "../../../src/testing/virtual-clock.js";

const settle = async (): Promise<void> => undefined;
/** What ends in one turn is looked at in the next. */
async function turn(): Promise<void> {
  for (let turns = 0; turns < 2; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

class Commit {
  resolve!: () => void;
  reject!: (error: Error) => void;
  readonly committed = new Promise<void>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

function world(): {
  clock: VirtualClock;
  alarm: StorageAlarm;
  listener: AlarmListener;
  reasons: (string | undefined)[];
  uncommitted: Uncommitted;
  gate: string[];
} {
  const clock = new VirtualClock();
  const alarm = new StorageAlarm(clock);
  const reasons: (string | undefined)[] = [];
  const gate: string[] = [];
  const uncommitted = new Uncommitted(
    alarm,
    () => gate.push("full"),
    () => gate.push("room"),
  );
  const listener: AlarmListener = {
    alarmChanged: (reason) => void reasons.push(reason),
    get awaitedSinceMs() {
      return uncommitted.sinceMs;
    },
  };
  alarm.add(listener);
  return { clock, alarm, listener, reasons, uncommitted, gate };
}

test("a commit that hangs holds publishers back until it comes back", async () => {
  const { clock, reasons, uncommitted } = world();
  const commit = new Commit();
  uncommitted.add(commit.committed, 100);
  await clock.advance(4_999, settle);
  assert.deepEqual(reasons, []);
  await clock.advance(1, settle);
  assert.deepEqual(reasons, ["storage stalled"]);
  commit.resolve();
  await turn();
  assert.deepEqual(reasons, ["storage stalled", undefined]);
});

test("commits that come back in time raise no alarm, however many there are", async () => {
  const { clock, reasons, uncommitted } = world();
  for (let second = 0; second < 30; second += 1) {
    const commit = new Commit();
    uncommitted.add(commit.committed, 100);
    await clock.advance(1_000, settle);
    commit.resolve();
    await turn();
  }
  assert.deepEqual(reasons, []);
});

test("a commit that hangs is noticed, and awaited, though the connection that waited for it has gone", async () => {
  const { clock, alarm, listener, uncommitted } = world();
  const reasons: (string | undefined)[] = [];
  const other = new Uncommitted(
    alarm,
    () => undefined,
    () => undefined,
  );
  alarm.add({
    alarmChanged: (reason) => void reasons.push(reason),
    get awaitedSinceMs() {
      return other.sinceMs;
    },
  });
  const hanging = new Commit();
  uncommitted.add(hanging.committed, 100);
  await clock.advance(4_000, settle);
  alarm.remove(listener);
  await clock.advance(1_000, settle);
  assert.deepEqual(reasons, ["storage stalled"]);
  const quick = new Commit();
  other.add(quick.committed, 100);
  quick.resolve();
  await turn();
  assert.deepEqual(reasons, ["storage stalled"]);
  hanging.resolve();
  await turn();
  assert.deepEqual(reasons, ["storage stalled", undefined]);
});

test("commits of two queues end in any order, and all are accounted for", async () => {
  const { clock, uncommitted } = world();
  const commits = Array.from({ length: 6 }, () => new Commit());
  for (const { committed } of commits) {
    uncommitted.add(committed, 100);
    await clock.advance(1, settle);
  }
  const startMs = uncommitted.sinceMs;
  for (const [ended, sinceMs] of [
    [3, 0],
    [0, 1],
    [5, 1],
    [1, 2],
    [2, 4],
    [4, Number.POSITIVE_INFINITY],
  ] as const) {
    commits[ended]!.resolve();
    await turn();
    assert.equal(uncommitted.sinceMs, startMs + sinceMs);
  }
  assert.equal(uncommitted.sizeBytes, 0);
  assert.equal(uncommitted.stored(), undefined);
});

test("a full disk holds publishers back for a while, and again when it still is", async () => {
  const { clock, reasons, uncommitted } = world();
  const fail = async (): Promise<void> => {
    const commit = new Commit();
    uncommitted.add(commit.committed, 100);
    commit.reject(new BrokerError("DISK_FULL", "The disk is full."));
    await turn();
  };
  await fail();
  assert.deepEqual(reasons, ["low on disk"]);
  await clock.advance(5_000, settle);
  assert.deepEqual(reasons, ["low on disk", undefined]);
  await fail();
  assert.deepEqual(reasons, ["low on disk", undefined, "low on disk"]);
});

test("a connection that published much is read from again when half of it is stored", async () => {
  const { uncommitted, gate } = world();
  const commits = Array.from({ length: 10 }, () => new Commit());
  for (const { committed } of commits) uncommitted.add(committed, 1024 * 1024);
  assert.deepEqual(gate, ["full"]);
  for (const commit of commits.slice(0, 5)) commit.resolve();
  await turn();
  assert.deepEqual(gate, ["full"]);
  for (const commit of commits.slice(5, 7)) commit.resolve();
  await turn();
  assert.deepEqual(gate, ["full", "room"]);
});

test("what was published so far can be waited for, whatever comes of it", async () => {
  const { uncommitted } = world();
  assert.equal(uncommitted.stored(), undefined);
  const [first, second] = [new Commit(), new Commit()];
  uncommitted.add(first.committed, 1);
  uncommitted.add(second.committed, 1);
  let isStored = false;
  void uncommitted.stored()?.then(() => {
    isStored = true;
  });
  first.reject(new Error("no"));
  await turn();
  assert.equal(isStored, false);
  second.resolve();
  await turn();
  assert.equal(isStored, true);
  assert.equal(uncommitted.stored(), undefined);
});
