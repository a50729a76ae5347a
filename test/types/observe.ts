// OpenTelemetry and Prometheus: what they take and give. Compiled with everything else; never run.

import type { Context, TracerProvider } from "@opentelemetry/api";
import type { Bus, EmbeddedCapabilities, Middleware, StoredMessage } from "../../src/index.js";
import { contextOf, openTelemetry } from "../../src/observe/opentelemetry.js";
import { prometheus } from "../../src/observe/prometheus.js";
import { type Equal, isTrue } from "./check.js";

export function telemetry(provider: TracerProvider, message: StoredMessage): void {
  const middleware = openTelemetry({ tracerProvider: provider, continueTrace: false });
  isTrue<Equal<typeof middleware, Middleware>>();
  const created = contextOf(message);
  isTrue<Equal<typeof created, Context>>();
  // @ts-expect-error there is no such option
  openTelemetry({ tracer: provider });
}

export function scraped(bus: Bus<EmbeddedCapabilities>): void {
  const metrics = prometheus(bus, { sourcesMax: 10 });
  const text = metrics.text();
  isTrue<Equal<typeof text, string>>();
  // @ts-expect-error a bound is a number
  prometheus(bus, { sourcesMax: "10" });
}
