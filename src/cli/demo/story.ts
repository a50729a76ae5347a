// The demo from beginning to end: a shop is opened, killed, opened again, mended, and its books are audited.

import { type Bus, type DeadLetter, embedded, openBus } from "../../index.js";
import { fitText, formatAge, formatAmount, formatCount } from "../format.js";
import type { World } from "../world.js";
import { audit, type RunAudit } from "./audit.js";
import { Interrupted, ShopLife } from "./shop-life.js";
import { CONSUMERS, type Consumer, SOURCE_OF } from "./shop-types.js";
import type { Stage } from "./stage.js";
import { Tally } from "./tally.js";

export interface StoryOptions {
  readonly directory: string;
  readonly orders: number;
}

/** What the story was, for the summary and for programs. */
export interface StoryResult {
  readonly run: string;
  readonly tally: Tally;
  readonly crash: {
    /** Orders acknowledged, and deliveries with a handler, when the process was killed. */
    readonly acknowledged: number;
    readonly inWork: number;
    /** How long the next process took to open the data directory. */
    readonly openMs: number;
    /** What waited there. */
    readonly backlog: number;
  };
  readonly replayed: number;
  readonly audits: readonly RunAudit[];
  readonly elapsedMs: number;
}

const DEAD_LETTERS_SHOWN = 8;
/** Characters of an error that are shown at least. */
const DEAD_LETTER_ERROR_MIN = 40;
/** What stands before and between the texts of such a line. */
const INDENT = 13;
const RUN_LETTERS = "bcdfghjkmnpqrstvwxyz23456789";
const RUN_LENGTH = 5;

export class Story {
  readonly run: string;
  readonly tally: Tally;
  private readonly world: World;
  private readonly stage: Stage;
  private readonly options: StoryOptions;
  private life: ShopLife | undefined;

  constructor(world: World, stage: Stage, options: StoryOptions) {
    this.world = world;
    this.stage = stage;
    this.options = options;
    this.run = newRun(world);
    this.tally = new Tally(this.run);
    this.life = undefined;
  }

  /** Errors: {@link Interrupted} after the shop was closed; a failure of the shop. */
  async tell(): Promise<StoryResult> {
    const startedMs = this.world.io.clock.monotonicMs();
    try {
      const killed = await this.#firstLife();
      const reopened = await this.#secondLife();
      const replayed = await this.#mend();
      await this.#thirdLife();
      const audits = await this.#audit();
      const elapsedMs = this.world.io.clock.monotonicMs() - startedMs;
      return {
        run: this.run,
        tally: this.tally,
        crash: { ...killed, ...reopened },
        replayed,
        audits,
        elapsedMs,
      };
    } catch (error) {
      this.stage.clear();
      await this.life?.child.close();
      throw error;
    }
  }

  async #firstLife(): Promise<{ acknowledged: number; inWork: number }> {
    const { red, bold } = this.stage.colours;
    const { orders } = this.options;
    const life = this.#start(false);
    const { unfinishedRuns, backlog } = await life.untilOpen();
    this.stage.log(`the shop is open, process ${life.child.pid}`);
    if (unfinishedRuns.length > 0) {
      const runs = `${unfinishedRuns.length === 1 ? "run" : "runs"} ${unfinishedRuns.join(", ")}`;
      this.stage.detail(
        `${runs} had been interrupted: ${formatAmount(backlog, "message")} left over, taken up first`,
      );
    }
    const killAt = Math.max(1, Math.floor(orders * (0.45 + 0.1 * this.world.io.random.fraction())));
    await life.untilIdleOr(() => this.tally.acknowledged >= killAt && this.tally.inWorkCount > 0);
    await life.child.kill();
    const { acknowledged, inWorkCount } = this.tally;
    this.stage.log(`${red(bold(`kill -9 ${life.child.pid}`))} in the middle of its work`);
    this.stage.detail(
      `${formatAmount(acknowledged, "order")} acknowledged, ${formatAmount(inWorkCount, "delivery", "deliveries")} with a handler`,
    );
    return { acknowledged, inWork: inWorkCount };
  }

  async #secondLife(): Promise<{ openMs: number; backlog: number }> {
    const life = this.#start(false);
    const { openMs, backlog } = await life.untilOpen();
    this.stage.log(
      `the shop is open again, process ${life.child.pid}; its data took ${formatAge(openMs)} to open`,
    );
    this.stage.detail(
      `${formatAmount(backlog, "delivery", "deliveries")} waited on disk, and it goes on where it was`,
    );
    await life.untilIdle();
    await this.#close(life);
    this.stage.log("every order is placed, and everything is handled or dead; the shop is closed");
    return { openMs, backlog };
  }

  /** What support would do: look at what died, have the bug fixed, replay. */
  async #mend(): Promise<number> {
    const { red, dim, green } = this.stage.colours;
    const letters = await this.#inDirectory((bus) => this.#readDeadLetters(bus));
    this.stage.log(
      `${red(formatAmount(letters.length, "dead letter"))}, with their cause ${dim("(omnibus dead list)")}`,
    );
    for (const letter of letters.slice(0, DEAD_LETTERS_SHOWN)) this.#showDeadLetter(letter);
    const more = letters.length - DEAD_LETTERS_SHOWN;
    if (more > 0) this.stage.detail(dim(`and ${formatCount(more)} more`));
    const replayed = await this.#inDirectory((bus) => replayAll(bus));
    this.stage.log(
      `the bugs are fixed: ${green(`${formatCount(replayed)} replayed`)} ${dim("(omnibus dead replay)")}`,
    );
    return replayed;
  }

  #showDeadLetter(letter: DeadLetter): void {
    const { red, dim } = this.stage.colours;
    const attempts = letter.attempts > 1 ? ` after ${letter.attempts} attempts` : "";
    const where = `${letter.source.padEnd(18)} ${letter.message.key}`;
    const width = Math.max(
      DEAD_LETTER_ERROR_MIN,
      this.world.columns - where.length - attempts.length - INDENT,
    );
    const error = letter.error.replace(/^The payload of \S+ does not fit its schema/, "invalid payload");
    this.stage.detail(`${dim("·")} ${where}  ${red(fitText(error, width))}${dim(attempts)}`);
  }

  async #thirdLife(): Promise<void> {
    const life = this.#start(true);
    await life.untilOpen();
    this.stage.log(`the fixed shop is open, process ${life.child.pid}`);
    await life.untilIdle();
    await this.#close(life);
    this.stage.log("everything is handled; the shop is closed");
  }

  async #audit(): Promise<readonly RunAudit[]> {
    return this.#inDirectory((bus) => audit(bus, this.run, this.tally.acknowledged));
  }

  #start(isFixed: boolean): ShopLife {
    const { directory, orders } = this.options;
    const placeFrom = this.tally.acknowledged + 1;
    this.life = new ShopLife(this.world, this.stage, this.tally, {
      directory,
      run: this.run,
      orders,
      placeFrom,
      isFixed,
    });
    return this.life;
  }

  async #close(life: ShopLife): Promise<void> {
    await life.child.close();
    this.life = undefined;
  }

  async #readDeadLetters(bus: Bus): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = [];
    for (const consumer of CONSUMERS) {
      for await (const letter of bus.deadLetters.list({ source: SOURCE_OF[consumer] })) {
        letters.push(letter);
        this.tally.died(consumer, letter.message.key ?? "");
      }
    }
    return letters;
  }

  /** This process's own turn in the data directory, while the shop is closed. */
  async #inDirectory<T>(work: (bus: Bus) => Promise<T>): Promise<T> {
    if (this.world.signal.aborted) throw new Interrupted("interrupted");
    const bus = await openBus(embedded({ directory: this.options.directory, io: this.world.io }));
    try {
      return await work(bus);
    } finally {
      await bus.close();
    }
  }
}

async function replayAll(bus: Bus): Promise<number> {
  let replayed = 0;
  for (const consumer of CONSUMERS) replayed += await bus.deadLetters.replay({ source: sourceOf(consumer) });
  return replayed;
}

function sourceOf(consumer: Consumer): string {
  return SOURCE_OF[consumer];
}

function newRun(world: World): string {
  const letter = (): string => RUN_LETTERS[world.io.random.uint32() % RUN_LETTERS.length]!;
  return Array.from({ length: RUN_LENGTH }, letter).join("");
}
