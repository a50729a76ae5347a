// The ways to wait for a time that `bench delays` compares: each takes moments and says when they were noticed.

import { command, openBus } from "../src/index.js";
import { loadPeer } from "./peers.js";
import { startRedis } from "./servers/redis.js";

/** Milliseconds since 1970: when message `number` is due. */
export type Moments = readonly number[];

export interface DelayWay {
  readonly name: string;
  /** What is waited with, and what of it survives. */
  readonly what: string;
  /** How late each was noticed, in milliseconds, in any order. */
  measure(moments: Moments, directory: string): Promise<number[]>;
}

const Due = command<number>("due");

/** What any program in this process can do at best. */
const timers: DelayWay = {
  name: "node timers",
  what: "a setTimeout each, in memory: what the platform can do at best",
  async measure(moments) {
    const latenesses: number[] = [];
    const due = moments.map(
      (moment) =>
        new Promise<void>((resolve) => {
          setTimeout(() => {
            latenesses.push(Date.now() - moment);
            resolve();
          }, moment - Date.now());
        }),
    );
    await Promise.all(due);
    return latenesses;
  },
};

const delay: DelayWay = {
  name: "omnibus delay",
  what: "messages with deliverAt, synced to disk, until the handler is called",
  async measure(moments, directory) {
    const bus = await openBus(directory);
    const latenesses: number[] = [];
    const handled = withResolvers();
    bus.handle(Due, { concurrency: 100, prefetch: 1_000 }, (number) => {
      latenesses.push(Date.now() - moments[number]!);
      if (latenesses.length === moments.length) handled.resolve();
    });
    await Promise.all(
      moments.map((moment, number) => bus.send(Due, number, { deliverAt: new Date(moment) })),
    );
    await handled.promise;
    await bus.close();
    return latenesses;
  },
};

const expiry: DelayWay = {
  name: "omnibus expiry",
  what: "messages with expiresIn and no consumer, synced to disk, until they are dead letters on disk",
  async measure(moments, directory) {
    const bus = await openBus(directory);
    const expireAt = new Map<string, number>();
    const sent = moments.map(async (moment, number) => {
      const expiresIn = moment - Date.now();
      const { id, timestampMs } = await bus.send(Due, number, { expiresIn });
      expireAt.set(id, timestampMs + expiresIn);
    });
    await Promise.all(sent);
    const isDone = async () => (await bus.queue("due").statistics()).deadLetters === moments.length;
    while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 100));
    const latenesses: number[] = [];
    for await (const { message, history } of bus.deadLetters.list({ reason: "expired" }))
      latenesses.push(history[0]!.deadAtMs - expireAt.get(message.id)!);
    await bus.close();
    return latenesses;
  },
};

interface Job {
  readonly data: number;
}
interface Bullmq {
  readonly Queue: new (
    name: string,
    options: object,
  ) => { addBulk(jobs: object[]): Promise<unknown>; close(): Promise<void> };
  readonly Worker: new (
    name: string,
    handle: (job: Job) => Promise<void>,
    options: object,
  ) => { close(isForced: boolean): Promise<void>; waitUntilReady(): Promise<unknown> };
}

const bullmq: DelayWay = {
  name: "bullmq delay",
  what: "delayed jobs on a local Redis, appendfsync everysec, until the processor is called",
  async measure(moments, directory) {
    const { Queue, Worker } = loadPeer<Bullmq>("bullmq");
    const server = await startRedis(directory, "everysec");
    const connection = { port: server.port, host: "127.0.0.1", maxRetriesPerRequest: null };
    const queue = new Queue("due", { connection, defaultJobOptions: { removeOnComplete: true } });
    const latenesses: number[] = [];
    const handled = withResolvers();
    const handle = async ({ data }: Job) => {
      latenesses.push(Date.now() - moments[data]!);
      if (latenesses.length === moments.length) handled.resolve();
    };
    const worker = new Worker("due", handle, { connection, concurrency: 100 });
    await worker.waitUntilReady();
    for (let first = 0; first < moments.length; first += 250) {
      const jobs = moments.slice(first, first + 250).map((moment, index) => {
        return { name: "m", data: first + index, opts: { delay: Math.max(1, moment - Date.now()) } };
      });
      await queue.addBulk(jobs);
    }
    await handled.promise;
    await worker.close(true);
    await queue.close();
    await server.stop();
    return latenesses;
  },
};

export const delayWays: readonly DelayWay[] = [timers, delay, expiry, bullmq];

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
