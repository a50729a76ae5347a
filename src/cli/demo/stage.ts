// What the spectator sees: a log of what happens, and on a terminal a panel below it that is drawn again in place.

import { formatCount } from "../format.js";
import type { Colours, Output, World } from "../world.js";
import { CONSUMERS } from "./shop-types.js";
import type { Tally } from "./tally.js";

const REDRAW_MS = 80;
const PLAIN_EVERY_MS = 1_000;
const LABEL_WIDTH = 14;
const BAR_WIDTH_MAX = 44;
/** What stands beside the bar. */
const NUMBERS_WIDTH = 44;
/** A narrower terminal gets the bars alone: a line that wraps could not be drawn over. */
const COLUMNS_FOR_NUMBERS = 72;

export class Stage {
  readonly colours: Colours;
  private readonly world: World;
  private readonly output: Output;
  private readonly startedMs: number;
  private readonly isLive: boolean;
  private panelLines: number;
  private drawnMs: number;

  /** With `beside`, the show is on standard error and leaves standard output to the result. */
  constructor(world: World, beside: boolean) {
    this.world = world;
    this.output = beside ? world.stderr : world.stdout;
    this.colours = beside ? world.errorColours : world.colours;
    this.startedMs = world.io.clock.monotonicMs();
    this.isLive = this.output.isTTY === true && world.environment["TERM"] !== "dumb";
    this.panelLines = 0;
    this.drawnMs = this.startedMs;
  }

  /** A line without a time. */
  say(text = ""): void {
    this.clear();
    this.output.write(`${text}\n`);
  }

  /** A line with the time since the beginning. */
  log(text: string): void {
    this.say(`${this.colours.dim(this.#elapsed())}  ${text}`);
  }

  /** A line that belongs to the one before. */
  detail(text: string): void {
    this.say(`${" ".repeat(this.#elapsed().length)}  ${text}`);
  }

  /** Shows how far the shop is, when the last time is long enough ago. */
  show(tally: Tally, orders: number): void {
    const nowMs = this.world.io.clock.monotonicMs();
    if (nowMs - this.drawnMs < (this.isLive ? REDRAW_MS : PLAIN_EVERY_MS)) return;
    this.drawnMs = nowMs;
    if (this.isLive) this.#draw(this.#panel(tally, orders));
    else this.log(plainProgress(tally, orders));
  }

  /** Takes the panel away. */
  clear(): void {
    if (this.panelLines > 0) this.output.write(`\x1b[${this.panelLines}A\x1b[0J`);
    this.panelLines = 0;
  }

  #draw(lines: readonly string[]): void {
    const back = this.panelLines > 0 ? `\x1b[${this.panelLines}A` : "";
    this.output.write(`${back}${lines.map((line) => `\x1b[2K${line}\n`).join("")}`);
    this.panelLines = lines.length;
  }

  #panel(tally: Tally, orders: number): string[] {
    const { dim, yellow, magenta } = this.colours;
    const rows = CONSUMERS.map((consumer) => {
      const { handled, retried, redelivered } = tally.consumers[consumer];
      if ((this.output.columns ?? 80) < COLUMNS_FOR_NUMBERS) return this.#bar(consumer, handled, orders);
      const retries = retried === 0 ? "" : yellow(`  ${formatCount(retried)} retried`);
      const again = redelivered === 0 ? "" : magenta(`  ${formatCount(redelivered)} again`);
      return this.#bar(consumer, handled, orders) + retries + again;
    });
    return [
      "",
      this.#bar("placed", tally.acknowledged, orders),
      ...rows,
      dim(`${"".padEnd(LABEL_WIDTH + 2)}${formatCount(tally.inWorkCount)} in work`),
    ];
  }

  #bar(label: string, count: number, orders: number): string {
    const { cyan, dim, green } = this.colours;
    const columns = this.output.columns ?? 80;
    const width = Math.max(8, Math.min(BAR_WIDTH_MAX, columns - LABEL_WIDTH - NUMBERS_WIDTH));
    const filled = Math.min(width, Math.floor((count / Math.max(orders, 1)) * width));
    const paint = count >= orders ? green : cyan;
    const bar = paint("━".repeat(filled)) + dim("─".repeat(width - filled));
    return `  ${label.padEnd(LABEL_WIDTH)}${bar}  ${formatCount(count).padStart(formatCount(orders).length)}`;
  }

  #elapsed(): string {
    const seconds = (this.world.io.clock.monotonicMs() - this.startedMs) / 1000;
    return `${seconds.toFixed(2).padStart(6)}s`;
  }
}

function plainProgress(tally: Tally, orders: number): string {
  const handled = CONSUMERS.map(
    (consumer) => `${consumer} ${formatCount(tally.consumers[consumer].handled)}`,
  );
  return `placed ${formatCount(tally.acknowledged)} of ${formatCount(orders)}; handled: ${handled.join(", ")}`;
}
