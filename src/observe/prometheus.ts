// The numbers of a bus for Prometheus, in its text format, with a bounded number of time series.

import { knownOptions, wholeNumber } from "../bus/option-checks.js";
import type { BusStatistics } from "../index.js";
import {
  BUS_FAMILIES,
  type Family,
  GROUP_FAMILIES,
  groupsOf,
  ownQueues,
  QUEUE_FAMILIES,
  STORAGE_FAMILIES,
  TOPIC_FAMILIES,
} from "./prometheus-families.js";
import { CONTENT_TYPE, familyLines, labelText } from "./prometheus-text.js";

export interface PrometheusOptions {
  /**
   * Queues with samples of their own, at most, and as many topics and groups. The rest is one source called `(other)`:
   * sums, and of ages the highest. @default 200
   */
  readonly sourcesMax?: number;
}

/** What a scrape is answered with. */
export interface PrometheusMetrics {
  /** For the header `content-type` of the answer. */
  readonly contentType: string;
  /** Every metric as it is now. Errors: CLOSED. */
  text(): string;
}

const SOURCES_MAX = 200;

/** No name of a queue, topic or group: these have no brackets. */
const OTHER = "(other)";

/**
 * Metrics of every queue, topic and group, and of storage. Keep the object: it remembers which sources have samples of
 * their own, so that counters go on where they were. Errors: INVALID_OPTION.
 *
 * @example
 * const metrics = prometheus(bus);
 * createServer((_, response) => response.setHeader("content-type", metrics.contentType).end(metrics.text())).listen(9464);
 */
export function prometheus(
  bus: { statistics(): BusStatistics },
  options: PrometheusOptions = {},
): PrometheusMetrics {
  const known = knownOptions("prometheus", options, ["sourcesMax"]);
  const sourcesMax = wholeNumber("sourcesMax", known.sourcesMax ?? SOURCES_MAX, 0);
  const queues = new Section(QUEUE_FAMILIES, sourcesMax, ({ name }) => ({ queue: name }));
  const topics = new Section(TOPIC_FAMILIES, sourcesMax, ({ name }) => ({ topic: name }));
  const groups = new Section(GROUP_FAMILIES, sourcesMax, ({ topic, group }) => ({
    topic,
    group: group.name,
  }));
  return {
    contentType: CONTENT_TYPE,
    text() {
      const statistics = bus.statistics();
      const lines: string[] = [];
      queues.write(ownQueues(statistics.queues), lines);
      topics.write(statistics.topics, lines);
      groups.write(groupsOf(statistics.topics), lines);
      for (const family of BUS_FAMILIES) writeFamily(family, [{ labels: "", of: [statistics] }], lines);
      for (const family of STORAGE_FAMILIES)
        writeFamily(family, [{ labels: "", of: [statistics.storage] }], lines);
      return `${lines.join("\n")}\n`;
    },
  };
}

/** One time series of each family: one source, or all that have none of their own. */
interface Series<S> {
  readonly labels: string;
  readonly of: readonly S[];
}

/** Sources of one kind. One that was named once stays so as long as it is there: a counter must not move into the rest. */
class Section<S> {
  readonly #families: readonly Family<S>[];
  readonly #namedMax: number;
  readonly #labelsOf: (source: S) => Readonly<Record<string, string>>;
  #named = new Set<string>();

  constructor(
    families: readonly Family<S>[],
    namedMax: number,
    labelsOf: (source: S) => Readonly<Record<string, string>>,
  ) {
    this.#families = families;
    this.#namedMax = namedMax;
    this.#labelsOf = labelsOf;
  }

  write(sources: readonly S[], lines: string[]): void {
    const series = this.#series(sources);
    for (const family of this.#families) writeFamily(family, series, lines);
  }

  #series(sources: readonly S[]): Series<S>[] {
    const labelled = sources.map((source) => ({ source, labels: labelText(this.#labelsOf(source)) }));
    const there = new Set(labelled.map(({ labels }) => labels));
    this.#named = new Set([...this.#named].filter((labels) => there.has(labels)));
    for (const labels of there) if (this.#named.size < this.#namedMax) this.#named.add(labels);
    const series: Series<S>[] = [];
    const others: S[] = [];
    for (const { source, labels } of labelled) {
      if (this.#named.has(labels)) series.push({ labels, of: [source] });
      else others.push(source);
    }
    if (others.length > 0) series.push({ labels: this.#otherLabels(others[0]!), of: others });
    return series;
  }

  #otherLabels(source: S): string {
    return labelText(Object.fromEntries(Object.keys(this.#labelsOf(source)).map((name) => [name, OTHER])));
  }
}

function writeFamily<S>(family: Family<S>, series: readonly Series<S>[], lines: string[]): void {
  const { name, help, type } = family;
  const samples: string[] = [];
  for (const { labels, of } of series) {
    const value = mergedValue(family, of);
    if (value !== undefined) samples.push(`${name}${labels} ${value}`);
  }
  lines.push(...familyLines(name, type, help, samples));
}

function mergedValue<S>({ value, merge }: Family<S>, sources: readonly S[]): number | undefined {
  let merged: number | undefined;
  for (const source of sources) {
    const own = value(source);
    if (own === undefined) continue;
    if (merged === undefined) merged = own;
    else merged = merge === "max" ? Math.max(merged, own) : merged + own;
  }
  return merged;
}
