// Which charts there are of `bench scale` and `bench soak`.

import type { GrowthPoint } from "../scale/growth.js";
import type { SoakResult } from "../soak/soak.js";
import { type Chart, type ChartLine, drawChart } from "./line-chart.js";

/** A panel for each kind of thing of which there are more. */
const PANELS: readonly (readonly [title: string, prefix: string])[] = [
  ["µs of the processor for a message, with so many waiting", "waiting messages: "],
  ["µs of the processor for a message, with so many queues", "queues: "],
  ["µs of the processor for a published message, with so many subscriptions", ""],
];

export function growthChart(points: readonly GrowthPoint[]): string {
  const left = new Set(points.map(({ curve }) => curve));
  const panels = PANELS.map(([title, prefix]) => {
    const curves = [...left].filter((curve) => curve.startsWith(prefix));
    for (const curve of curves) left.delete(curve);
    return { title, lines: curves.map((curve) => lineOf(points, curve, prefix)) };
  });
  const chart: Chart = {
    title: "What one message costs as more is there",
    xTitle: "so many are there",
    isLogarithmic: true,
    panels,
  };
  return drawChart(chart);
}

function lineOf(points: readonly GrowthPoint[], curve: string, prefix: string): ChartLine {
  return {
    title: curve.slice(prefix.length),
    isDotted: true,
    points: points
      .filter((point) => point.curve === curve)
      .map(({ count, processorUs }) => [count, processorUs] as const),
  };
}

export function soakChart({ samples, minutes }: SoakResult): string {
  const over = (of: (sample: SoakResult["samples"][number]) => number) =>
    samples.map((sample) => [sample.second / 60, of(sample)] as const);
  return drawChart({
    title: `${minutes} minutes of mixed load`,
    xTitle: "minutes",
    panels: [
      {
        title: "memory, MB",
        lines: [
          { title: "resident", points: over(({ rssBytes }) => rssBytes / 1e6) },
          { title: "heap, collected", points: over(({ heapBytes }) => heapBytes / 1e6) },
          { title: "buffers, collected", points: over(({ externalBytes }) => externalBytes / 1e6) },
        ],
      },
      {
        title: "disk, MB",
        lines: [{ title: "data directory", points: over(({ diskBytes }) => diskBytes / 1e6) }],
      },
      {
        title: "open",
        lines: [
          { title: "files", points: over(({ descriptors }) => descriptors) },
          { title: "handles of the event loop", points: over(({ handles }) => handles) },
        ],
      },
      {
        title: "% of one core",
        lines: [{ title: "processor", points: over(({ processorShare }) => 100 * processorShare) }],
      },
    ],
  });
}
