// Omnibus as an application uses it: commands sent in batches, one handler per command, acknowledged by returning.
// On the embedded engine, synced, and in memory, where what is left is the cost of the bus itself.

import { z } from "zod";
import {
  type Bus,
  bytes,
  type CommandType,
  command,
  type EngineFactory,
  embedded,
  memory,
  openBus,
} from "../../src/index.js";
import { BodyRing, type JsonBody, jsonBody, readBody, readJsonBody } from "../bodies.js";
import type { BenchEngine, DeliverySink, EngineSession, EngineSetup } from "./engine.js";

/** How the bodies of one queue are made and read. */
interface BodyKind<Value> {
  command(queue: number): CommandType<Value>;
  make(queue: number, number: number): Value;
  read(queue: number, value: Value): number;
}

function rawBodies(setup: EngineSetup): BodyKind<Uint8Array> {
  const rings = Array.from({ length: setup.queues }, (_, queue) => new BodyRing(queue, setup.depth));
  return {
    command: (queue) => command<Uint8Array>(`bench-${queue}`, { codec: bytes }),
    make: (queue, number) => rings[queue]!.body(number),
    read: readBody,
  };
}

function jsonBodies(): BodyKind<JsonBody> {
  const schema = z.object({ number: z.number(), check: z.number(), note: z.string() });
  return {
    command: (queue) => command(`bench-${queue}`, { schema }),
    make: jsonBody,
    read: readJsonBody,
  };
}

class OmnibusSession<Value> implements EngineSession {
  readonly #bus: Bus;
  readonly #setup: EngineSetup;
  readonly #bodies: BodyKind<Value>;
  readonly #commands: CommandType<Value>[] = [];
  /** Deliveries handled in this turn per queue, which are acknowledged when the turn of their queue ends. */
  readonly #handled: number[];
  #handledInAll = 0;

  constructor(bus: Bus, setup: EngineSetup, bodies: BodyKind<Value>) {
    this.#bus = bus;
    this.#setup = setup;
    this.#bodies = bodies;
    this.#handled = new Array(setup.queues).fill(0);
    for (let queue = 0; queue < setup.queues; queue++) this.#commands.push(bodies.command(queue));
  }

  async publish(queue: number, first: number, count: number): Promise<void> {
    const type = this.#commands[queue]!;
    if (count === 1) {
      await this.#bus.send(type, this.#bodies.make(queue, first));
      return;
    }
    const values: Value[] = [];
    for (let number = first; number < first + count; number++) values.push(this.#bodies.make(queue, number));
    await this.#bus.sendMany(type, values);
  }

  async consume(sink: DeliverySink): Promise<void> {
    const prefetch = this.#setup.depth;
    const handlings = this.#commands.map((type, queue) =>
      this.#bus.handle(type, { prefetch }, (value) => this.#handle(sink, queue, value)),
    );
    await Promise.all(handlings.map(({ ready }) => ready));
  }

  async close(): Promise<void> {
    await this.#bus.drain();
    let settled = 0;
    for (const queue of this.#bus.statistics().queues) settled += queue.settled;
    await this.#bus.close();
    if (settled !== this.#handledInAll) {
      throw new Error(`omnibus: ${this.#handledInAll} messages were handled and ${settled} settled`);
    }
  }

  /** Hot. Returning acknowledges, and the handlers of one turn run in a loop, so all are acknowledged by the next microtask. */
  #handle(sink: DeliverySink, queue: number, value: Value): void {
    sink.handled(queue, this.#bodies.read(queue, value));
    this.#handledInAll += 1;
    this.#handled[queue]! += 1;
    if (this.#handled[queue] === 1) queueMicrotask(() => this.#acked(sink, queue));
  }

  #acked(sink: DeliverySink, queue: number): void {
    const count = this.#handled[queue]!;
    this.#handled[queue] = 0;
    sink.acked(queue, count);
  }
}

async function openSession<Value>(
  engine: EngineFactory,
  setup: EngineSetup,
  bodies: BodyKind<Value>,
): Promise<EngineSession> {
  return new OmnibusSession(await openBus(engine), setup, bodies);
}

/** One batch of the whole depth; smaller ones cost up to a fifth. */
function publishBatch(depth: number): number {
  return depth;
}

export const omnibus: BenchEngine = {
  name: "omnibus",
  durable: "Omnibus, durability synced: written and synced with fdatasync before the receipt",
  isSynced: true,
  hasPublishPhase: true,
  publishBatch,
  open: (setup) => openSession(embedded({ directory: setup.directory }), setup, rawBodies(setup)),
};

export const omnibusMemoryRaw: BenchEngine = {
  name: "omnibus-memory-raw",
  durable: "nothing: bytes in memory, sent and handled through the bus",
  isSynced: false,
  hasPublishPhase: false,
  publishBatch,
  open: (setup) => openSession(memory(), setup, rawBodies(setup)),
};

export const omnibusMemoryJson: BenchEngine = {
  name: "omnibus-memory-json",
  durable: "nothing: JSON in memory, checked by a zod schema when sent and when handled",
  isSynced: false,
  hasPublishPhase: false,
  publishBatch,
  open: (setup) => openSession(memory(), setup, jsonBodies()),
};
