// BullMQ on a local Redis, as its users run it for throughput: jobs added in bulk, one worker per queue, jobs removed when
// complete, the event stream kept at its minimum, nobody listening to queue events.
//
// Measured with handlers that return at once: at 1,000 in flight a worker of concurrency 100 handles 2 to 3 times what one of
// concurrency 1,000 does, whose loop mostly asks in vain for jobs; automatic pipelining of ioredis halves the rate.

import { readTextBody, textBody } from "../bodies.js";
import { loadPeer } from "../peers.js";
import { type AppendFsync, startRedis } from "../servers/redis.js";
import type { RunningServer } from "../servers/running-server.js";
import type { BenchEngine, DeliverySink, EngineSession, EngineSetup } from "./engine.js";

/** What is used of BullMQ and of ioredis. */
interface Job {
  readonly data: string;
}
interface Queue {
  add(name: string, data: string): Promise<unknown>;
  addBulk(jobs: { name: string; data: string }[]): Promise<unknown>;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}
interface Worker {
  on(event: "completed", listener: () => void): unknown;
  on(event: "failed", listener: (job: unknown, error: Error) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(isForced: boolean): Promise<void>;
}
interface Bullmq {
  readonly Queue: new (name: string, options: object) => Queue;
  readonly Worker: new (name: string, processor: (job: Job) => Promise<void>, options: object) => Worker;
}
interface Connection {
  disconnect(): void;
}
interface Ioredis {
  readonly Redis: new (options: object) => Connection;
}

const JOB_NAME = "m";

class BullmqSession implements EngineSession {
  readonly #bullmq: Bullmq;
  readonly #server: RunningServer;
  readonly #setup: EngineSetup;
  readonly #producers: Connection;
  readonly #consumers: Connection;
  readonly #queues: Queue[] = [];
  readonly #workers: Worker[] = [];

  constructor(server: RunningServer, setup: EngineSetup) {
    this.#bullmq = loadPeer<Bullmq>("bullmq");
    const { Redis } = loadPeer<Ioredis>("ioredis");
    this.#server = server;
    this.#setup = setup;
    this.#producers = new Redis({ port: server.port, host: "127.0.0.1", maxRetriesPerRequest: null });
    this.#consumers = new Redis({ port: server.port, host: "127.0.0.1", maxRetriesPerRequest: null });
  }

  async open(): Promise<void> {
    for (let queue = 0; queue < this.#setup.queues; queue++) {
      const options = {
        connection: this.#producers,
        defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
        streams: { events: { maxLen: 0 } },
      };
      this.#queues.push(new this.#bullmq.Queue(`q${queue}`, options));
    }
    await Promise.all(this.#queues.map((queue) => queue.waitUntilReady()));
  }

  async publish(queue: number, first: number, count: number): Promise<void> {
    if (count === 1) {
      await this.#queues[queue]!.add(JOB_NAME, textBody(queue, first));
      return;
    }
    const jobs: { name: string; data: string }[] = [];
    for (let number = first; number < first + count; number++) {
      jobs.push({ name: JOB_NAME, data: textBody(queue, number) });
    }
    await this.#queues[queue]!.addBulk(jobs);
  }

  async consume(sink: DeliverySink): Promise<void> {
    for (let queue = 0; queue < this.#setup.queues; queue++) this.#startWorker(queue, sink);
    await Promise.all(this.#workers.map((worker) => worker.waitUntilReady()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close(true)));
    await Promise.all(this.#queues.map((queue) => queue.close()));
    this.#producers.disconnect();
    this.#consumers.disconnect();
    await this.#server.stop();
  }

  #startWorker(queue: number, sink: DeliverySink): void {
    const handle = async (job: Job) => sink.handled(queue, readTextBody(queue, job.data));
    const worker = new this.#bullmq.Worker(`q${queue}`, handle, {
      connection: this.#consumers,
      concurrency: Math.ceil(this.#setup.depth / 8),
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    worker.on("completed", () => sink.acked(queue, 1));
    worker.on("failed", (_job, error) => sink.failed(error));
    worker.on("error", (error) => sink.failed(error));
    this.#workers.push(worker);
  }
}

function bullmq(appendFsync: AppendFsync, durable: string): BenchEngine {
  return {
    name: `bullmq-${appendFsync}`,
    durable,
    isSynced: appendFsync === "always",
    hasPublishPhase: true,
    publishBatch: (depth) => Math.ceil(depth / (depth < 100 ? 2 : 4)),
    async open(setup) {
      const server = await startRedis(setup.directory, appendFsync);
      const session = new BullmqSession(server, setup);
      await session.open();
      return session;
    },
  };
}

export const bullmqAlways = bullmq(
  "always",
  "Redis append-only file with appendfsync always: synced before the reply",
);
export const bullmqEverysec = bullmq(
  "everysec",
  "Redis append-only file with appendfsync everysec: a power failure loses up to the last second or two of what was confirmed",
);
