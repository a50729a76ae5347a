// A bus for one test, closed when the test is over, and what tests often ask of one.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import {
  type BrokerErrorCode,
  type Bus,
  type DeadLetter,
  type EmbeddedCapabilities,
  isBrokerError,
  openBus,
} from "../../src/index.js";
import { openTestBus, type TestBus } from "../../src/testing/index.js";
import { temporaryDirectory } from "./temporary-directory.js";

/** In memory, under a virtual clock. */
export async function testBus(
  t: TestContext,
  options: Parameters<typeof openTestBus>[0] = {},
): Promise<TestBus> {
  const bus = await openTestBus(options);
  t.after(() => bus.close());
  return bus;
}

/** On a real disk, in real time. An error that nobody waits for fails the test. */
export async function diskBus(t: TestContext): Promise<Bus<EmbeddedCapabilities>> {
  // Hooks run in the order in which they were given: the bus is closed before its directory is removed.
  let bus: Bus<EmbeddedCapabilities> | undefined;
  const errors: unknown[] = [];
  t.after(async () => {
    await bus?.close();
    assert.deepEqual(errors, []);
  });
  bus = await openBus(await temporaryDirectory(t), { onError: (error) => errors.push(error) });
  return bus;
}

/** Opens the bus of a directory for as long as `use` takes. */
export async function withBus<T>(
  directory: string,
  use: (bus: Bus<EmbeddedCapabilities>) => Promise<T>,
): Promise<T> {
  const bus = await openBus(directory);
  try {
    return await use(bus);
  } finally {
    await bus.close();
  }
}

/** An assertion that `action` fails with this code, in words that `message` finds. */
export async function failsWith(
  code: BrokerErrorCode,
  action: () => unknown,
  message: RegExp = /./,
): Promise<void> {
  await assert.rejects(
    async () => {
      await action();
    },
    (error: unknown) => {
      if (!isBrokerError(error)) throw error;
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    },
  );
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

export function deadLettersOf(bus: Bus<EmbeddedCapabilities>): Promise<DeadLetter[]> {
  return collect(bus.deadLetters.list());
}

/** A promise, and what settles it. */
export interface Deferred<T = void> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

const THEN = "then";

/** What is waited for like a promise and is none. */
export function thenable(
  then: (resolve: (value?: unknown) => void, reject: (error: unknown) => void) => void,
) {
  return { [THEN]: then };
}
