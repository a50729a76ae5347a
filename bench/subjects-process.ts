// The process that measures so many live subscriptions: reads a `SubjectsRequest` from its parent, sends a
// `SubjectsAnswer`, and ends.

import { once } from "node:events";
import { Broker } from "../src/broker/broker.js";
import type { LiveReceiver } from "../src/broker/live-message.js";
import { constantHeaders, type OutgoingMessage } from "../src/broker/message.js";
import { MemoryFiles } from "../src/io/memory-files.js";
import { systemIo } from "../src/io/system-io.js";
import { LogStore } from "../src/log/log-store.js";
import type { SubjectsAnswer, SubjectsRequest, SubjectsRow } from "./subjects.js";

const CHUNK = 1_000;
const HOT_SUBJECTS = 1_000;
const HEADERS = constantHeaders(undefined, undefined);

/** As small as one gets: what a connection would have for each of its subscriptions. */
class CountingReceiver implements LiveReceiver {
  readonly group = undefined;
  taken = 0;

  offer(): boolean {
    this.taken += 1;
    return true;
  }
}

/** Adds a subscription to `subject` and returns what removes it. */
type Subscribe = (broker: Broker, subject: string) => { close(): void };

class AttachedReceiver {
  readonly broker: Broker;
  readonly subject: string;
  readonly receiver = new CountingReceiver();

  constructor(broker: Broker, subject: string) {
    this.broker = broker;
    this.subject = subject;
    broker.live.add(subject, this.receiver);
  }

  close(): void {
    this.broker.live.remove(this.subject, this.receiver);
  }
}

const kinds: Readonly<Record<SubjectsRow["kind"], Subscribe>> = {
  receivers: (broker, subject) => new AttachedReceiver(broker, subject),
  subscriptions: (broker, pattern) =>
    broker.subscribeLive({ pattern, bufferMax: 100, whenFull: "drop-oldest" }),
};

async function measure({ kind, subscriptions, seconds }: SubjectsRequest): Promise<SubjectsRow> {
  const io = { ...systemIo, files: new MemoryFiles() };
  const store = await LogStore.open(io, "/memory/data");
  const options = { durability: "memory", readOnly: false, onError: () => undefined } as const;
  const broker = await Broker.open(io, store, options);
  const subjects = Array.from({ length: subscriptions }, (_, index) => subjectOf(index));
  const open: { close(): void }[] = [];
  // Compiled code is not to be counted as memory of subscriptions.
  for (const subject of subjects.slice(0, CHUNK)) open.push(kinds[kind](broker, subject));
  publishRate(broker, subjects.slice(0, CHUNK), seconds / 10);
  for (const one of open.splice(0)) one.close();
  const emptyBytes = await heapBytes();

  const began = processorSeconds();
  for (const subject of subjects) open.push(kinds[kind](broker, subject));
  const subscribesPerSecond = subscriptions / (processorSeconds() - began);
  const bytesEach = ((await heapBytes()) - emptyBytes) / subscriptions;

  const anyPerSecond = publishRate(broker, subjects, seconds);
  const hotPerSecond = publishRate(broker, subjects.slice(0, HOT_SUBJECTS), seconds);
  for (const one of open.splice(0)) one.close();
  const bytesLeftEach = ((await heapBytes()) - emptyBytes) / subscriptions;
  await broker.close();
  // The subjects are used here, so that they are in memory until then.
  const { length } = subjects;
  return {
    kind,
    subscriptions: length,
    subscribesPerSecond,
    bytesEach,
    anyPerSecond,
    hotPerSecond,
    bytesLeftEach,
  };
}

/** Live publishes a second of the processor, each to another of `subjects`. Each is taken by one subscription, or the run fails. */
function publishRate(broker: Broker, subjects: readonly string[], seconds: number): number {
  let published = 0;
  let seed = 1;
  const run = (forSeconds: number): number => {
    const began = processorSeconds();
    for (published = 0; processorSeconds() - began < forSeconds; published += CHUNK) {
      for (let one = 0; one < CHUNK; one += 1) {
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        const message = messageTo(subjects[seed % subjects.length]!);
        if (broker.publishLive(message) !== 1) throw new Error(`${message.subject} was not seen by one`);
      }
    }
    return published / (processorSeconds() - began);
  };
  run(seconds / 4);
  return run(seconds);
}

function messageTo(subject: string): OutgoingMessage {
  return { subject, key: null, value: "21.5", headers: HEADERS, timestampMs: 1, expiresAtMs: 0 };
}

/** Of four levels, as of the devices of many sites. */
function subjectOf(index: number): string {
  const subject = `site.${Math.floor(index / 1_000)}.device-${index % 1_000}.temperature`;
  // In one piece in memory, as it would come from elsewhere.
  return Buffer.from(subject).toString("latin1");
}

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().heapUsed;
}

/** Seconds that the processor has worked for this process: unlike the time that passed, it does not depend on others. */
function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const [request] = await once(process, "message");
const answer: SubjectsAnswer = await measure(request as SubjectsRequest).then(
  (row) => ({ row }),
  (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
);
process.send?.(answer, () => process.exit(0));
