// One life of the shop, from start to kill or close, as the story waits on it: until something was reported, the process
// ended by itself, or the spectator interrupts.

import { BrokerError } from "../../index.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import type { World } from "../world.js";
import type { Report, ShopTask } from "./reports.js";
import { ShopChild } from "./shop-child.js";
import type { Stage } from "./stage.js";
import type { Tally } from "./tally.js";

/** The spectator pressed Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

type OpenReport = Extract<Report, { kind: "open" }>;

export class ShopLife {
  readonly child: ShopChild;
  private readonly world: World;
  private readonly stage: Stage;
  private readonly tally: Tally;
  private readonly task: ShopTask;
  private opened: OpenReport | undefined;
  private isIdle: boolean;
  private failure: Error | undefined;
  /** Looks again whether what is waited for has come. */
  private look: () => void;

  constructor(world: World, stage: Stage, tally: Tally, task: ShopTask) {
    this.world = world;
    this.stage = stage;
    this.tally = tally;
    this.task = task;
    this.opened = undefined;
    this.isIdle = false;
    this.failure = undefined;
    this.look = () => {};
    tally.processes += 1;
    this.child = new ShopChild(task, world.io.clock, (report) => this.#hear(report));
    this.child.exited.then(
      ({ code, signal }) => {
        const how = signal === null ? `with code ${code}` : `by ${signal}`;
        this.#fail(
          new CommandFailure(EXIT.failed, `the shop's process ended ${how}. ${this.child.errorText}`.trim()),
        );
      },
      (error: Error) => this.#fail(error),
    );
  }

  /** Resolves when the shop is open. Errors: {@link Interrupted}, or why it cannot. */
  async untilOpen(): Promise<OpenReport> {
    await this.#until(() => this.opened !== undefined);
    return this.opened!;
  }

  /** Resolves when `isReached` or when there is nothing left to do. */
  async untilIdleOr(isReached: () => boolean): Promise<void> {
    await this.#until(() => this.isIdle || isReached());
  }

  /** Resolves when all orders are placed and nothing is left to do. */
  async untilIdle(): Promise<void> {
    await this.#until(() => this.isIdle);
  }

  async #until(isReached: () => boolean): Promise<void> {
    const { signal } = this.world;
    const look = (): void => this.look();
    signal.addEventListener("abort", look);
    try {
      await new Promise<void>((resolve, reject) => {
        this.look = () => {
          if (signal.aborted) reject(new Interrupted("interrupted"));
          else if (isReached()) resolve();
          else if (this.failure !== undefined) reject(this.failure);
        };
        this.look();
      });
    } finally {
      this.look = () => {};
      signal.removeEventListener("abort", look);
    }
  }

  #hear(report: Report): void {
    this.tally.hear(report);
    if (report.kind === "open") this.opened = report;
    if (report.kind === "idle") this.isIdle = true;
    if (report.kind === "broken") this.#fail(failureOf(report));
    if (this.opened !== undefined && report.kind !== "open") this.stage.show(this.tally, this.task.orders);
    this.look();
  }

  #fail(failure: Error): void {
    this.failure ??= failure;
    this.look();
  }
}

function failureOf(report: Extract<Report, { kind: "broken" }>): Error {
  const failure =
    report.code === undefined ? new Error(report.message) : new BrokerError(report.code, report.message);
  if (report.stack !== undefined) failure.stack = report.stack;
  return failure;
}
