// `bench allocations`: bytes that Omnibus allocates per message on publish, store, deliver and settle. Allocations are
// what the collector has to clean up after, and unlike a rate they do not depend on what else the machine does.
//
// Method: a process with a young generation of 256 MiB takes each step for thousands of messages, so that nothing is
// collected in between and the growth of the heap and of external memory is what was allocated. What a step keeps, such
// as promises and deliveries that the application holds, is counted too: it was allocated.

import { join } from "node:path";
import { METER_FLAGS } from "./allocation-meter.js";
import { askProcess } from "./ask-process.js";
import { BODY_BYTES } from "./bodies.js";
import { table } from "./table.js";
import { inWorkDirectory } from "./work-directory.js";

export type WayName = "one by one" | "batches and a handler";

export interface AllocationRequest {
  readonly way: WayName;
  readonly messages: number;
  readonly directory: string;
}

/** Bytes per message of one operation in one way. */
export interface AllocationRow {
  readonly way: WayName;
  readonly operation: string;
  readonly heapBytes: number;
  readonly externalBytes: number;
}

export type AllocationAnswer = { readonly rows: readonly AllocationRow[] } | { readonly error: string };

export interface AllocationOptions {
  readonly directory: string;
  readonly json: boolean;
}

const WAYS: readonly WayName[] = ["one by one", "batches and a handler"];
const MESSAGES = 10_000;
const allocationProcess = new URL("./allocation-process.js", import.meta.url);

/** With `json`, prints `{"messages":0,"rows":[{"way","operation","heapBytes","externalBytes"}]}`, bytes per message. */
export async function benchAllocations(options: AllocationOptions): Promise<void> {
  const rows = await inWorkDirectory(options.directory, async (directory) => {
    const counted: AllocationRow[] = [];
    for (const way of WAYS) counted.push(...(await countWay(way, directory)));
    return counted;
  });
  const text = options.json ? JSON.stringify({ messages: MESSAGES, rows }) : formatAllocations(rows);
  process.stdout.write(`${text}\n`);
}

async function countWay(way: WayName, directory: string): Promise<readonly AllocationRow[]> {
  const request: AllocationRequest = { way, messages: MESSAGES, directory: join(directory, way) };
  const answer = await askProcess<AllocationAnswer>(allocationProcess, request, METER_FLAGS);
  if ("error" in answer) throw new Error(answer.error);
  return answer.rows;
}

function formatAllocations(rows: readonly AllocationRow[]): string {
  const head = ["way", "operation", "heap B/message", "buffers B/message"];
  const cells = rows.map(({ way, operation, heapBytes, externalBytes }) => [
    way,
    operation,
    heapBytes.toFixed(0),
    externalBytes.toFixed(0),
  ]);
  const grid = table(head, cells, (column) => column < 2);
  return `Allocated per message of ${BODY_BYTES} bytes, embedded engine, synced\n${grid}`;
}
