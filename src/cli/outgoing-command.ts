// What `send` and `publish` do once they know the destination: store one message or a stream of them, and report.

import type { Bus, Receipt } from "../index.js";
import type { CommonOptions } from "./data-directory.js";
import { formatAge, formatAmount, formatCount } from "./format.js";
import { type IngestResult, ingest } from "./ingest.js";
import type { Outgoing, OutgoingOptions, Source } from "./outgoing.js";
import { Progress } from "./progress.js";
import type { World } from "./world.js";

/** Where the messages go. */
export interface Outlet {
  /** Stores messages and resolves when they are durable. */
  deliver(batch: readonly Outgoing[]): Promise<readonly Receipt[]>;
  /** How many messages lie there, or were ever put there: the difference of two answers is what counts. */
  count(): number;
}

/** What was done, to be reported after the data directory is closed. */
export interface Delivered extends IngestResult {
  readonly elapsedMs: number;
}

/** Delivers everything that `source` gives. */
export async function deliverAll(
  world: World,
  source: Source,
  options: OutgoingOptions,
  bus: Bus,
  outlet: Outlet,
): Promise<Delivered> {
  const progress = new Progress(world, "messages");
  if (source.kind === "one") {
    const [receipt] = await outlet.deliver([{ body: source.body, key: options.key }]);
    return { accepted: 1, skipped: 0, first: receipt, last: receipt, elapsedMs: progress.elapsedMs() };
  }
  const before = outlet.count();
  try {
    const result = await ingest(source.chunks, {
      keyField: options.keyField,
      skipInvalid: options.skipInvalid === true,
      signal: world.signal,
      deliver: (batch) => outlet.deliver(batch),
      countStored: async () => {
        await bus.drain();
        return outlet.count() - before;
      },
      onProgress: (accepted) => progress.update(accepted),
    });
    return { ...result, elapsedMs: progress.elapsedMs() };
  } finally {
    progress.finish();
  }
}

/** Says what was stored: `verb` is `sent` or `published`, `destination` the name that the person wrote. */
export async function reportDelivered(
  world: World,
  options: CommonOptions,
  verb: "sent" | "published",
  destination: string,
  done: Delivered,
): Promise<void> {
  const { accepted, skipped, first, last } = done;
  if (options.json === true) {
    await world.json({
      [verb]: accepted,
      skipped,
      to: destination,
      destination: first?.destination ?? null,
      first: place(first),
      last: place(last),
    });
    return;
  }
  const rate =
    accepted > 1
      ? ` in ${formatAge(done.elapsedMs)} (${formatCount((accepted * 1000) / done.elapsedMs)}/s)`
      : "";
  const at =
    first === undefined || accepted !== 1
      ? ""
      : `, offset ${formatCount(first.offset)} of ${first.destination}`;
  const left = skipped === 0 ? "" : `, ${formatAmount(skipped, "bad line")} skipped`;
  await world.line(`${verb} ${formatAmount(accepted, "message")} to ${destination}${at}${rate}${left}`);
}

function place(receipt: Receipt | undefined): object | null {
  if (receipt === undefined) return null;
  const { id, partition, offset, timestampMs } = receipt;
  return { id, partition, offset, timestamp: new Date(timestampMs).toISOString() };
}
