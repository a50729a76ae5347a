// The process that counts the allocations of one way to use a queue: reads an `AllocationRequest` from its parent, sends
// an `AllocationAnswer`, and ends. Rounds that are not counted come first, so that code is compiled and pools have their size.

import { once } from "node:events";
import { embedded, openBus } from "../src/index.js";
import { AllocationMeter } from "./allocation-meter.js";
import { handled, oneByOne, type Way } from "./allocation-ways.js";
import type { AllocationAnswer, AllocationRequest, AllocationRow, WayName } from "./allocations.js";

const WARM_UP_ROUNDS = 3;
const ways: Record<WayName, Way> = { "one by one": oneByOne, "batches and a handler": handled };

async function count({ way, messages, directory }: AllocationRequest): Promise<AllocationRow[]> {
  const bus = await openBus(embedded({ directory }));
  const steps = ways[way](bus, messages);
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    for (const [, action] of steps) await action();
  }
  const meter = new AllocationMeter();
  const rows: AllocationRow[] = [];
  for (const [operation, action] of steps) {
    const { heapBytes, externalBytes } = await meter.count(action);
    rows.push({ way, operation, heapBytes: heapBytes / messages, externalBytes: externalBytes / messages });
  }
  meter.close();
  await bus.close();
  return rows;
}

const [request] = await once(process, "message");
const answer: AllocationAnswer = await count(request as AllocationRequest).then(
  (rows) => ({ rows }),
  (error) => ({ error: error instanceof Error ? error.message : String(error) }),
);
process.send?.(answer, () => process.exit(0));
