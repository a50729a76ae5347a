// Draws lines over a shared axis as an SVG that stands for itself. Scales, ticks and paths are those of d3.

import { type ScaleContinuousNumeric, scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";

export interface ChartLine {
  readonly title: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Whether every point gets a dot. */
  readonly isDotted?: boolean;
}

export interface ChartPanel {
  readonly title: string;
  readonly lines: readonly ChartLine[];
}

export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  /** Of counts over several powers of ten; 0 is drawn one step before the first of them. */
  readonly isLogarithmic?: boolean;
  /** One below the other, over the same axis. */
  readonly panels: readonly ChartPanel[];
}

const WIDTH = 860;
const PANEL_HEIGHT = 190;
const TOP = 42;
const PANEL_GAP = 58;
const LEFT = 62;
const RIGHT = 285;
const COLORS = ["#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#6e7781"];
/** Readable on light and on dark pages. */
const TEXT = "#808890";
const GRID = "#80889040";

export function drawChart(chart: Chart): string {
  const height = TOP + chart.panels.length * (PANEL_HEIGHT + PANEL_GAP);
  const panels = chart.panels.map((panel, index) =>
    drawPanel(chart, panel, TOP + index * (PANEL_HEIGHT + PANEL_GAP) + 16),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="${TEXT}">`,
    `<title>${escaped(chart.title)}</title>`,
    `<text x="${LEFT}" y="20" font-size="15" font-weight="600">${escaped(chart.title)}</text>`,
    ...panels,
    "</svg>\n",
  ].join("\n");
}

function drawPanel(chart: Chart, panel: ChartPanel, top: number): string {
  const points = panel.lines.flatMap((one) => one.points);
  const x = xScale(
    chart,
    points.map(([value]) => value),
  );
  const yMax = Math.max(...points.map(([, value]) => value), Number.MIN_VALUE);
  const y = scaleLinear([0, yMax * 1.1], [top + PANEL_HEIGHT, top]).nice(5);
  const parts = [`<text x="${LEFT}" y="${top - 8}">${escaped(panel.title)}</text>`];
  for (const tick of y.ticks(5)) parts.push(horizontal(y(tick), y.tickFormat(5)(tick)));
  for (const tick of xTicks(chart, x, points))
    parts.push(label(x(placed(chart, tick)), top + PANEL_HEIGHT + 16, count(tick), "middle"));
  parts.push(label(WIDTH - RIGHT, top + PANEL_HEIGHT + 32, chart.xTitle, "end"));
  panel.lines.forEach((one, index) => {
    parts.push(drawLine(chart, one, COLORS[index % COLORS.length]!, x, y));
    parts.push(legend(one.title, COLORS[index % COLORS.length]!, top + 12 + index * 18));
  });
  return parts.join("\n");
}

type Scale = ScaleContinuousNumeric<number, number>;

function xScale(chart: Chart, values: readonly number[]): Scale {
  const range = [LEFT, WIDTH - RIGHT];
  const shown = values.map((value) => placed(chart, value));
  const domain = [Math.min(...shown), Math.max(...shown)];
  return chart.isLogarithmic ? scaleLog(domain, range) : scaleLinear(domain, range);
}

/** Where a logarithmic axis has a number: it has no 0. */
function placed(chart: Chart, value: number): number {
  return chart.isLogarithmic ? Math.max(value, 1) : value;
}

/** Counts are few and are shown themselves; of other numbers d3 chooses round ones. */
function xTicks(chart: Chart, x: Scale, points: readonly (readonly [number, number])[]): number[] {
  if (!chart.isLogarithmic) return x.ticks(8);
  return [...new Set(points.map(([value]) => value))].sort((a, b) => a - b);
}

function drawLine(chart: Chart, { points, isDotted }: ChartLine, color: string, x: Scale, y: Scale): string {
  const path = line<readonly [number, number]>(
    ([at]) => round(x(placed(chart, at))),
    ([, value]) => round(y(value)),
  )([...points]);
  const drawn = [`<path d="${path ?? ""}" fill="none" stroke="${color}" stroke-width="1.6"/>`];
  if (isDotted)
    for (const [at, value] of points)
      drawn.push(
        `<circle cx="${round(x(placed(chart, at)))}" cy="${round(y(value))}" r="2.6" fill="${color}"/>`,
      );
  return drawn.join("\n");
}

function horizontal(at: number, text: string): string {
  const rule = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(at)}" y2="${round(at)}" stroke="${GRID}"/>`;
  return `${rule}${label(LEFT - 6, at + 4, text, "end")}`;
}

function legend(title: string, color: string, y: number): string {
  const x = WIDTH - RIGHT + 14;
  return `<rect x="${x}" y="${y - 8}" width="12" height="3" fill="${color}"/>${label(x + 18, y - 2, title, "start")}`;
}

function label(x: number, y: number, text: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(text)}</text>`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
