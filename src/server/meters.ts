// What the server counts of itself, and the page that has it beside the numbers of the bus and of the protocols.

import type { Bus } from "../bus/bus.js";
import type { Clock } from "../io/io.js";
import type { Measure } from "../network/host.js";
import { type PrometheusMetrics, prometheus } from "../observe/prometheus.js";
import { samplesText } from "../observe/prometheus-text.js";

/** Something that was counted, by one label. */
class Count {
  readonly #name: string;
  readonly #help: string;
  readonly #label: string;
  readonly #values = new Map<string, number>();

  constructor(name: string, help: string, label: string, values: readonly string[]) {
    this.#name = name;
    this.#help = help;
    this.#label = label;
    for (const value of values) this.#values.set(value, 0);
  }

  add(value: string): void {
    this.#values.set(value, (this.#values.get(value) ?? 0) + 1);
  }

  *measures(): Generator<Measure> {
    for (const [label, value] of this.#values)
      yield { name: this.#name, help: this.#help, labels: { [this.#label]: label }, value };
  }
}

export class Meters {
  readonly refused = new Count(
    "omnibus_connections_refused_total",
    "Sockets that were sent away before a protocol was spoken on them.",
    "reason",
    ["full", "tls"],
  );
  readonly authenticated = new Count(
    "omnibus_authentications_total",
    "Clients that said who they are.",
    "result",
    ["accepted", "refused", "busy"],
  );
  readonly #beganMs: number;
  readonly #bus: PrometheusMetrics;

  constructor(bus: Bus, clock: Clock) {
    this.#beganMs = clock.nowMs();
    this.#bus = prometheus(bus);
  }

  page(more: Iterable<Measure>): { readonly contentType: string; readonly text: string } {
    const own = [...this.#process(), ...this.refused.measures(), ...this.authenticated.measures(), ...more];
    return { contentType: this.#bus.contentType, text: this.#bus.text() + samplesText(own) };
  }

  /** Under the names that Prometheus' clients of every language give them. */
  *#process(): Generator<Measure> {
    const { user, system } = process.cpuUsage();
    const labels = {};
    yield {
      name: "process_cpu_seconds_total",
      help: "Processor time of the process.",
      labels,
      value: (user + system) / 1e6,
    };
    yield {
      name: "process_resident_memory_bytes",
      help: "Memory that the process has.",
      labels,
      value: process.memoryUsage.rss(),
    };
    yield {
      name: "process_start_time_seconds",
      help: "When the server was opened, in seconds since 1970.",
      labels,
      value: this.#beganMs / 1000,
    };
  }
}
