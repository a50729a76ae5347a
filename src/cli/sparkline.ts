// Numbers over time in one line of text.

const BARS = "▁▂▃▄▅▆▇█";

/** One bar for each value, as high as its part of the greatest; the lowest is for 0. */
export function sparkline(values: readonly number[]): string {
  const greatest = Math.max(1, ...values);
  return values.map((value) => BARS[Math.ceil((Math.max(0, value) / greatest) * (BARS.length - 1))]).join("");
}
