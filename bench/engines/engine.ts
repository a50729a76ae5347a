// What the benchmark needs of a queue, ours or a peer's. An adapter uses its engine as that engine's own users would
// for throughput; the load generator decides when and how much, and checks every message.

/** One thing that is measured. `name` is the `engine` of its rows in the report. */
export interface BenchEngine {
  readonly name: string;
  /** In words: what has happened to a message when `publish` resolves. */
  readonly durable: string;
  /** Whether that includes being on disk: only then is its rate compared with the disk's. */
  readonly isSynced: boolean;
  /** Whether publishing alone is measured too; an engine that keeps its backlog in memory would only fill it. */
  readonly hasPublishPhase: boolean;
  /** How many messages the producer of one queue hands over at once when `depth` may be in flight on that queue. */
  publishBatch(depth: number): number;
  open(setup: EngineSetup): Promise<EngineSession>;
}

export interface EngineSetup {
  /** Empty, and this engine's alone. */
  readonly directory: string;
  readonly queues: number;
  /** Messages in flight per queue. */
  readonly depth: number;
}

/** An open engine with `queues` empty queues, numbered from 0. */
export interface EngineSession {
  /**
   * Publishes messages `first` to `first + count - 1` of a queue, their bodies made by `bench/bodies.ts`. Resolves when
   * all of them are as durable as the engine promises. May be called again before that. Never calls the sink itself.
   */
  publish(queue: number, first: number, count: number): Promise<void>;
  /** Starts one consumer per queue. Messages published earlier are delivered too. */
  consume(sink: DeliverySink): Promise<void>;
  close(): Promise<void>;
}

/** Where an engine hands its deliveries. Never called from within `publish`. */
export interface DeliverySink {
  /** The handler: `message` is the number read from the body, or `CORRUPT_BODY`. */
  handled(queue: number, message: number): void;
  /** So many handled deliveries of the queue were acknowledged to the engine. */
  acked(queue: number, count: number): void;
  /** The engine broke; the row is given up. */
  failed(error: unknown): void;
}
