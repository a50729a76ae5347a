// What goes wrong with the disk of a history, and what has to be said about it.

import assert from "node:assert/strict";
import { SeededRandom } from "../support/seeded-random.js";
import type { DiskOperation } from "../support/simulated-disk.js";
import { systemError } from "../support/simulated-disk.js";
import { placeToFlip } from "./bit-flips.js";
import type { Life } from "./plan.js";
import type { Stage } from "./stage.js";
import type { FaultKind } from "./tally.js";

/** Logs without which nothing can be opened. */
const VITAL = /^data\/(logs\/(catalog|settlements|schedules)\/|journal\/|format|lock|checkpoint)/;

export class DiskFaults {
  readonly #stage: Stage;
  /** Whether an operation failed since {@link begin} or {@link beginOpening}. */
  hasFailed = false;
  #flippedPath = "";
  readonly operations = {
    "disk-full": () => this.#fillDisk(),
    "disk-freed": () => {
      this.#stage.world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    },
    "slow-disk": () => {
      this.#stage.count("slow disk");
      this.#stage.world.slowDisk(this.#stage.random.pick([10, 1_000, 20_000]));
    },
  };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** From here on until {@link end}. */
  begin({ faults }: Life): void {
    const { random, disk } = this.#stage.world;
    this.hasFailed = false;
    let [syncs, reads, operations] = [0, 0, 0];
    disk.onOperation = ({ kind, path }: DiskOperation) => {
      if (kind === "sync" && syncs++ === faults.failingSync) throw this.#fault("failed sync", path);
      if (kind === "read" && reads++ === faults.failingRead) throw this.#fault("failed read", path);
      if (operations++ === faults.failingOperation) throw this.#fault("failed operation", path);
      if (kind !== "write" || faults.shortWrites === 0 || !random.chance(faults.shortWrites))
        return undefined;
      this.#stage.count("short write");
      return 1 + random.below(200);
    };
  }

  /** As {@link begin}, while the engine is being opened. */
  beginOpening({ openingFault }: Life): void {
    this.hasFailed = false;
    let operations = 0;
    this.#stage.world.disk.onOperation = ({ path }) => {
      if (operations++ === openingFault) throw this.#fault("failed opening", path);
      return undefined;
    };
  }

  end(): void {
    const { disk } = this.#stage.world;
    disk.onOperation = () => undefined;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
  }

  /** While no process runs, a bit changes that no crash can have changed. */
  flipBit({ flip }: Life): void {
    const { world, wasClosed, plan, trace } = this.#stage;
    const random = new SeededRandom(flip);
    const place = placeToFlip(world.disk, random, wasClosed, plan.isSynced);
    if (place === undefined || !world.disk.flipBit(place.path, place.position, random.below(8))) return;
    this.#stage.count("bit flip");
    this.#stage.isDamaged = true;
    this.#flippedPath = place.path;
    trace(`  a bit of byte ${place.position} of ${place.path} flips`);
  }

  /** What is damaged was refused, so everything else is open. */
  checkOthers(): void {
    const { broker } = this.#stage;
    const path = this.#flippedPath;
    if (VITAL.test(path)) return;
    assert.ok(broker !== undefined, `${path} keeps everything from being opened`);
    const isQueue = path.includes("/queue.") || path.includes(".work/");
    const isOpen = isQueue ? broker.topic("order") !== undefined : broker.queue("work") !== undefined;
    assert.ok(isOpen, `${path} keeps others from being opened`);
  }

  /** The disk is as it was before {@link flipBit}, but for what was written since. */
  repairBit(): void {
    if (!this.#stage.isDamaged) return;
    this.#stage.world.disk.repairBits();
    this.#stage.isDamaged = false;
    this.#stage.damage = undefined;
    this.#stage.trace("  the bit is put right");
  }

  /** Adds what the disks, and the world, know. */
  sumUp(): void {
    const { world, tally } = this.#stage;
    const { writes, tornWrites, names } = world.disk.losses;
    tally.faults["lost write"] += writes;
    tally.faults["torn write"] += tornWrites;
    tally.faults["lost name"] += names;
    tally.faults["reordered answer"] += world.reordered;
  }

  #fillDisk(): void {
    const { world, random } = this.#stage;
    this.#stage.doubt();
    this.#stage.count("disk full");
    world.disk.capacityBytes = world.disk.usedBytes + random.below(4_000);
  }

  #fault(kind: FaultKind, path: string): Error {
    this.hasFailed = true;
    this.#stage.doubt();
    this.#stage.count(kind);
    this.#stage.trace(`    ${kind}: ${path}`);
    return systemError("EIO", path);
  }
}
