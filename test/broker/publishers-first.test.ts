import assert from "node:assert/strict";
import { test } from "node:test";
import { embedded, openBus } from "../../src/index.js";
import type { OpenFile } from "../../src/io/io.js";
import { MemoryFiles } from "../../src/io/memory-files.js";
import { systemIo } from "../../src/io/system-io.js";
import { VirtualClock } from "../../src/testing/virtual-clock.js";
import { type Deferred, deferred } from "../support/buses.js";

/** A disk whose syncs take until they are let go. */
class SlowFiles extends MemoryFiles {
  isSlow = false;
  readonly #syncs: Deferred[] = [];

  override async open(...args: Parameters<MemoryFiles["open"]>): Promise<OpenFile> {
    const file = await super.open(...args);
    const sync = file.sync.bind(file);
    file.sync = async () => {
      if (this.isSlow) {
        const wait = deferred();
        this.#syncs.push(wait);
        await wait.promise;
      }
      await sync();
    };
    return file;
  }

  letGo(): void {
    this.isSlow = false;
    for (const { resolve } of this.#syncs.splice(0)) resolve();
  }
}

async function turns(count = 100): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A queue of 1,000 messages that are on disk only, and how many of them were handled. */
async function withBacklog(bodyBytes: number) {
  const files = new SlowFiles();
  const clock = new VirtualClock();
  const io = { ...systemIo, files, clock };
  const bus = await openBus(embedded({ directory: "memory/data", cacheBytes: 0, io }));
  await bus.queue("backlog").sendMany(new Array(1_000).fill("x".repeat(bodyBytes)));
  let handled = 0;
  return {
    files,
    bus,
    pass: (durationMs: number) => clock.advance(durationMs, () => turns()),
    read: async () => {
      bus.queue("backlog").consume({ prefetch: 1_000 }, () => {
        handled += 1;
      });
      await turns();
    },
    handled: () => handled,
  };
}

test("while publishers wait for the disk, a reader that is far behind gets so much in a millisecond", async () => {
  const { files, bus, pass, read, handled } = await withBacklog(10);
  files.isSlow = true;
  const sending = bus.queue("other").send("waits for the disk");
  await turns();
  await read();
  assert.ok(handled() > 0 && handled() <= 128, `${handled()} in the first millisecond`);
  await pass(1);
  assert.ok(handled() > 128 && handled() <= 256, `${handled()} in the first two`);
  files.letGo();
  await sending;
  await pass(10);
  assert.equal(handled(), 1_000);
  await bus.close();
});

test("of large messages it gets fewer", async () => {
  const { files, bus, pass, read, handled } = await withBacklog(8 * 1024);
  files.isSlow = true;
  const sending = bus.queue("other").send("waits for the disk");
  await turns();
  await read();
  assert.ok(handled() > 0 && handled() <= 8, `${handled()} in the first millisecond`);
  files.letGo();
  await sending;
  await pass(100);
  assert.equal(handled(), 1_000);
  await bus.close();
});

test("where nobody publishes, a backlog is worked off without a pause", async () => {
  const { bus, read, handled } = await withBacklog(10);
  await read();
  assert.equal(handled(), 1_000);
  await bus.close();
});
