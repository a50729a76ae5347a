// The process that carries the mixed load: reads a `SoakRequest` from its parent, sends a `SoakAnswer`, and ends.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { embedded, openBus } from "../../src/index.js";
import { MixedLoad, Tally } from "./mixed-load.js";
import { Sampler, type SoakSample } from "./sample.js";
import type { SoakAnswer, SoakReport, SoakRequest } from "./soak.js";

const SAMPLES_PER_LINE = 6;

async function soak({ minutes, rate, sampleSeconds, directory }: SoakRequest): Promise<SoakReport> {
  const sampler = new Sampler(directory);
  const tally = new Tally();
  const before = sampler.take(undefined, undefined);
  const bus = await openBus(embedded({ directory, cacheBytes: 16 * 1024 * 1024 }), {
    onError: (error, where) => tally.fail(where, error),
  });
  const load = await MixedLoad.start(bus, rate, tally);
  const samples: SoakSample[] = [];
  const count = Math.max(2, Math.round((minutes * 60) / sampleSeconds));
  const beganMs = performance.now();
  for (let index = 1; index <= count; index += 1) {
    await sleep(Math.max(0, beganMs + index * sampleSeconds * 1000 - performance.now()));
    samples.push(sampler.take(bus, load));
    if (index % SAMPLES_PER_LINE === 0) report(samples.at(-1)!, tally);
  }
  await load.stop();
  await bus.drain();
  await bus.close();
  await sleep(1000);
  const { published, handled, errorCount, errors } = tally;
  const after = sampler.take(undefined, load);
  return {
    minutes,
    rate,
    parts: load.partNames,
    before,
    samples,
    after,
    published,
    handled,
    late: load.late,
    errorCount,
    errors,
  };
}

function report(sample: SoakSample, tally: Tally): void {
  const { second, rssBytes, heapBytes, externalBytes, descriptors, diskBytes, processorShare } = sample;
  const sizes = [rssBytes, heapBytes, externalBytes, diskBytes].map((bytes) => (bytes / 1e6).toFixed(1));
  const [rss, heap, external, disk] = sizes;
  process.stderr.write(
    `${second} s: rss ${rss} MB, heap ${heap} MB, external ${external} MB, disk ${disk} MB, ${descriptors} files, ` +
      `${(100 * processorShare).toFixed(0)} % of a core, ${tally.published} published, ${tally.handled} handled, ` +
      `${tally.errorCount} errors ${tally.errors[0] ?? ""}\n`,
  );
}

const [request] = await once(process, "message");
const answer: SoakAnswer = await soak(request as SoakRequest).then(
  (soaked) => ({ report: soaked }),
  (error: unknown) => ({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
);
process.send?.(answer, () => process.exit(0));
