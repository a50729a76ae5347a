import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { cli, finish, jsonLines, scratch, startCli } from "./run-cli.js";

interface Result {
  readonly accountedFor: boolean;
  readonly acknowledged: number;
  readonly replayed: number;
  readonly leftOver: number;
  readonly consumers: Record<
    string,
    { handled: number; retried: number; deadLettered: number; replayed: number }
  >;
  readonly audits: {
    run: string;
    acknowledged?: number;
    stored: number;
    effects: Record<string, number>;
    isInOrder: boolean;
    doubled: string[];
  }[];
}

test("the demo accounts for every order, again on the same directory, and after an interruption", async (t) => {
  const data = join(await scratch(t), "shop");
  const orders = ["--orders", "300", "--data", data];

  const first = await cli(["demo", "--json", ...orders]);
  assert.equal(first.code, 0, first.stderr);
  const [result, ...more] = jsonLines<Result>(first.stdout);
  assert.deepEqual(more, []);
  assertInOrder(result!, 300);
  assert.equal(result!.audits.length, 1);

  const child = startCli(["demo", ...orders]);
  const interrupted = finish(child);
  await new Promise<void>((resolve) => {
    let text = "";
    child.stdout.on("data", (chunk: string) => {
      text += chunk;
      if (/kill -9 \d+/.test(text)) resolve();
    });
  });
  child.kill("SIGINT");
  const ended = await interrupted;
  assert.equal(ended.code, 130, ended.stderr);
  assert.match(ended.stdout, /Interrupted after \d+ acknowledged orders?\.\nWhat is left is on disk/);

  const second = await cli(["demo", "--json", ...orders]);
  assert.equal(second.code, 0, second.stderr);
  const [continued] = jsonLines<Result>(second.stdout);
  assertInOrder(continued!, 300);
  assert.equal(continued!.audits.length, 2, "the interrupted run is audited as well");
  assert.match(second.stderr, /had been interrupted: /);
});

function assertInOrder(result: Result, orders: number): void {
  assert.equal(result.accountedFor, true);
  assert.equal(result.acknowledged, orders);
  for (const audit of result.audits) assert.equal(audit.isInOrder, true, audit.run);
  const own = result.audits.find(({ acknowledged }) => acknowledged !== undefined)!;
  assert.deepEqual(
    [own.stored, own.effects],
    [orders, { charged: orders, reserved: orders, notified: orders }],
  );
  assert.deepEqual(own.doubled, []);
  const {
    billing,
    stock,
    notification,
    "stock.reserve": workers,
  } = result.consumers as Record<string, Result["consumers"][string]>;
  for (const consumer of [billing, stock, notification, workers]) assert.equal(consumer!.handled, orders);
  assert.ok(billing!.retried > 0, "the payment provider failed now and then");
  assert.ok(workers!.deadLettered > 0 && workers!.replayed === workers!.deadLettered);
  assert.ok(billing!.deadLettered > 0 && billing!.replayed === billing!.deadLettered);
  assert.ok(result.replayed >= workers!.deadLettered + billing!.deadLettered);
}

test("the plain log tells the story and ends with what to try next", async (t) => {
  const data = join(await scratch(t), "shop");
  const { code, stdout, stderr } = await cli(["demo", "--orders", "100", "--data", data]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(stdout.includes("\u001b["), false);
  assert.match(stdout, /kill -9 \d+ in the middle of its work/);
  assert.match(stdout, /✓ Every order is accounted for: 100 orders placed and acknowledged,/);
  assert.match(stdout, /\n {2}omnibus topics --data /);
});
