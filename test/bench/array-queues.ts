// The simplest engine there is, to prove the benchmark's load with: queues that are arrays, delivered in a later turn.
// It can be told to break in one way.

import { type JsonBody, jsonBody, readJsonBody } from "../../bench/bodies.js";
import type { BenchEngine, DeliverySink, EngineSession, EngineSetup } from "../../bench/engines/engine.js";

export type Fault = "loses" | "repeats" | "damages" | "misroutes" | "rejects" | "invents";

/** The message that suffers the fault: one of those that are published at once, however slow the machine. */
const FAULTY = 5;

class ArrayQueues implements EngineSession {
  readonly #queues: JsonBody[][];
  readonly #fault: Fault | undefined;
  #sink: DeliverySink | undefined;
  #isScheduled = false;

  constructor(setup: EngineSetup, fault: Fault | undefined) {
    this.#queues = Array.from({ length: setup.queues }, () => []);
    this.#fault = fault;
  }

  async publish(queue: number, first: number, count: number): Promise<void> {
    for (let number = first; number < first + count; number++) {
      if (number === FAULTY) this.#publishFaulty(queue, number);
      else this.#queues[queue]!.push(jsonBody(queue, number));
    }
    this.#schedule();
  }

  async consume(sink: DeliverySink): Promise<void> {
    this.#sink = sink;
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#sink = undefined;
  }

  #publishFaulty(queue: number, number: number): void {
    const sound = jsonBody(queue, number);
    const body = this.#fault === "damages" ? { ...sound, note: "something else" } : sound;
    if (this.#fault === "rejects") throw new Error("no room");
    if (this.#fault === "loses") return;
    if (this.#fault === "repeats") this.#queues[queue]!.push(body);
    if (this.#fault === "invents") this.#queues[queue]!.push(jsonBody(queue, 1e9));
    const target = this.#fault === "misroutes" ? (queue + 1) % this.#queues.length : queue;
    this.#queues[target]!.push(body);
  }

  #schedule(): void {
    if (this.#sink === undefined || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (let queue = 0; queue < this.#queues.length; queue++) this.#deliver(queue);
    });
  }

  #deliver(queue: number): void {
    const messages = this.#queues[queue]!.splice(0);
    for (const body of messages) this.#sink?.handled(queue, readJsonBody(queue, body));
    if (messages.length > 0) this.#sink?.acked(queue, messages.length);
  }
}

export function arrayQueues(fault?: Fault): BenchEngine {
  return {
    name: "arrays",
    durable: "nothing",
    isSynced: false,
    hasPublishPhase: true,
    publishBatch: (depth) => Math.ceil(depth / 4),
    open: async (setup) => new ArrayQueues(setup, fault),
  };
}
