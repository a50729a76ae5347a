// Opens a bus on an engine.

import { type EmbeddedCapabilities, embedded } from "../engines/embedded.js";
import type { Capabilities, EngineFactory } from "../engines/engine.js";
import { Bus, type BusOptions } from "./bus.js";
import { BusCodecs } from "./decoding.js";
import { invalidOption, knownOptions } from "./option-checks.js";
import { guardedReporter, reportOnStandardError } from "./reporter.js";

/**
 * Opens a bus: on the embedded engine in a data directory, or on the engine that is given. What was declared and
 * stored before is there again.
 *
 * @example
 * const bus = await openBus("./data"); // on disk, synced
 * const relaxed = await openBus(embedded({ directory: "./telemetry", durability: "written" }));
 * const forTests = await openBus(memory());
 *
 * Errors: DATA_DIRECTORY_LOCKED when another process has it open, DATA_DIRECTORY_UNUSABLE, FORMAT_UNSUPPORTED,
 * LOG_CORRUPT, INVALID_OPTION.
 */
export function openBus(directory: string, options?: BusOptions): Promise<Bus<EmbeddedCapabilities>>;
export function openBus<C extends Capabilities>(
  engine: EngineFactory<C>,
  options?: BusOptions,
): Promise<Bus<C>>;
export async function openBus(target: string | EngineFactory, options: BusOptions = {}): Promise<Bus> {
  const { onError: report = reportOnStandardError, codecs } = knownOptions("openBus", options, [
    "onError",
    "codecs",
  ]);
  if (typeof report !== "function") throw invalidOption("onError", report, "a function");
  const onError = guardedReporter(report);
  const known = new BusCodecs(codecs);
  const factory: EngineFactory = typeof target === "string" ? embedded({ directory: target }) : target;
  if (typeof factory?.open !== "function")
    throw invalidOption(
      "engine of openBus",
      factory,
      "the path of a data directory, or an engine such as embedded({...}) or memory()",
    );
  return new Bus(await factory.open(onError), onError, known);
}
