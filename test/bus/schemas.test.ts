import assert from "node:assert/strict";
import { test } from "node:test";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { bytes, command, event, json, type Schema } from "../../src/index.js";
import { collect, deadLettersOf, deferred, failsWith, testBus, thenable } from "../support/buses.js";

interface In {
  readonly id: string;
  readonly total: string;
}
interface Out {
  readonly id: string;
  readonly total: number;
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

/** The same payload in three libraries: `total` comes as text and is a number in the handler. */
const LIBRARIES: Readonly<Record<string, Schema<In, Out>>> = {
  zod: z.object({ id: z.string(), total: z.string().transform(Number) }),
  "zod, asynchronous": z.object({
    id: z.string().refine(async (id) => {
      await tick();
      return id !== "taken";
    }, "is taken"),
    total: z.string().transform(async (text) => Number(text)),
  }),
  valibot: v.object({ id: v.string(), total: v.pipe(v.string(), v.transform(Number)) }),
  "valibot, asynchronous": v.objectAsync({
    id: v.string(),
    total: v.pipeAsync(
      v.string(),
      v.checkAsync(async () => {
        await tick();
        return true;
      }),
      v.transform(Number),
    ),
  }),
  arktype: type({ id: "string", total: type("string").pipe((text) => Number(text)) }),
};

for (const [library, schema] of Object.entries(LIBRARIES)) {
  test(`${library}: what is sent is the input, what the handler gets is the output`, async (t) => {
    const bus = await testBus(t);
    const Placed = event("order.placed", { schema, key: ({ id }) => id });
    const seen: Out[] = [];
    bus.on(Placed, { group: "g" }, (order) => void seen.push(order));
    await bus.publish(Placed, { id: "a", total: "1" });
    await bus.publishMany(Placed, [
      { id: "b", total: "2" },
      { id: "c", total: "3" },
    ]);
    await bus.settled();
    assert.deepEqual(seen, [
      { id: "a", total: 1 },
      { id: "b", total: 2 },
      { id: "c", total: 3 },
    ]);
    const stored = await collect(bus.topic("order").read());
    assert.deepEqual(stored[0]?.json(), { id: "a", total: "1" });
  });

  test(`${library}: a payload that does not fit is refused with where and why, and leaves no trace`, async (t) => {
    const bus = await testBus(t);
    const Placed = event("order.placed", { schema });
    const wrong = { id: "a", total: 5 } as unknown as In;
    await failsWith("INVALID_PAYLOAD", () => bus.publish(Placed, wrong), /order\.placed.*total/);
    await failsWith("INVALID_PAYLOAD", () => bus.publishMany(Placed, [{ id: "b", total: "2" }, wrong]));
    assert.deepEqual(bus.statistics().topics, []);
  });

  test(`${library}: a stored body that does not fit goes to the dead letters at once, with the reason`, async (t) => {
    const bus = await testBus(t);
    const Reserve = command("reserve", { schema });
    const seen: Out[] = [];
    bus.handle(Reserve, (value) => void seen.push(value));
    await bus.queue("reserve").sendMany(['{"id":"x","total":1}', "{", '{"id":"a","total":"1"}']);
    await bus.settled();
    assert.deepEqual(seen, [{ id: "a", total: 1 }]);
    const dead = await deadLettersOf(bus);
    assert.deepEqual(
      dead.map(({ reason, attempts }) => [reason, attempts]),
      [
        ["invalid-payload", 1],
        ["invalid-payload", 1],
      ],
    );
    const errors = dead.map(({ error }) => error).join();
    assert.match(errors, /total/);
    assert.match(errors, /not valid application\/json/);
  });
}

test("what an asynchronous schema refuses is refused, beside what it takes", async (t) => {
  const bus = await testBus(t);
  const Reserve = command("reserve", { schema: LIBRARIES["zod, asynchronous"]! });
  const answers = await Promise.allSettled([
    bus.send(Reserve, { id: "a", total: "1" }),
    bus.send(Reserve, { id: "taken", total: "1" }),
    bus.sendMany(Reserve, [
      { id: "taken", total: "1" },
      { id: "taken", total: "2" },
    ]),
  ]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    ["fulfilled", "rejected", "rejected"],
  );
  assert.equal((await collect(bus.queue("reserve").browse())).length, 1);
});

const NOTHING: unknown = null;

/** A schema whose answers the test gives. */
function standard(validate: (value: unknown) => unknown): Schema<number, number> {
  return { "~standard": { version: 1, vendor: "test", validate } } as unknown as Schema<number, number>;
}

test("no more than five problems are named, and paths of every kind are readable", async (t) => {
  const bus = await testBus(t);
  const issues = [
    { message: "plain" },
    { message: "keyed", path: [{ key: "a" }, 0, Symbol("s")] },
    ...Array.from({ length: 10 }, () => ({ message: "more", path: ["x"] })),
  ];
  const Wrong = command("wrong", { schema: standard(() => ({ issues })) });
  await failsWith(
    "INVALID_PAYLOAD",
    () => bus.send(Wrong, 1),
    /plain; a\.0\.Symbol\(s\): keyed; x: more;.*and 7 more/,
  );
});

test("a schema that fails itself is INVALID_SCHEMA to the sender, and retried for a handler", async (t) => {
  const bus = await testBus(t);
  let fails = true;
  const check = (value: unknown) => {
    if (fails) throw new Error("the database is away");
    return { value };
  };
  for (const [name, validate] of [
    ["sync", check],
    ["async", async (value: unknown) => check(value)],
  ] as const) {
    const Work = command(name, { schema: standard(validate) });
    fails = true;
    await failsWith("INVALID_SCHEMA", () => bus.send(Work, 1), /database is away/);
    await bus.queue(name).send("1");
    const seen: number[] = [];
    bus.handle(Work, { retry: { delay: "1s", jitter: 0 } }, (value) => void seen.push(value));
    await bus.settled();
    fails = false;
    assert.deepEqual(seen, []);
    await bus.advance("1s");
    assert.deepEqual(seen, [1]);
  }
  assert.deepEqual(await deadLettersOf(bus), []);
});

test("a thenable of another kind of promise is waited for", async (t) => {
  const bus = await testBus(t);
  const answer = thenable((resolve) => resolve({ issues: [{ message: "no" }] }));
  const Work = command("work", { schema: standard(() => answer) });
  await failsWith("INVALID_PAYLOAD", () => bus.send(Work, 1), /no/);
});

test("a check that fails after another value was refused is not lost in an unhandled rejection", async (t) => {
  const bus = await testBus(t);
  const unhandled: unknown[] = [];
  const listen = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", listen);
  t.after(() => process.off("unhandledRejection", listen));
  const issues = [{ message: "no" }];
  const schema = standard((value) => (value === 1 ? Promise.resolve({ issues }) : { issues }));
  await failsWith("INVALID_PAYLOAD", () => bus.sendMany(command("work", { schema }), [1, 2]));
  await tick();
  assert.deepEqual(unhandled, []);
});

test("a schema that never answers takes its handler's time, and its handler is not called afterwards", async (t) => {
  const bus = await testBus(t);
  const gate = deferred<{ value: number }>();
  let isReceived = false;
  const Work = command("work", {
    schema: standard((value) => (isReceived ? gate.promise : { value })),
  });
  await bus.send(Work, 1);
  isReceived = true;
  const calls: number[] = [];
  bus.handle(Work, { timeout: "1m", retry: { attempts: 1 } }, (value) => void calls.push(value));
  await bus.advance("1m");
  gate.resolve({ value: 1 });
  await bus.settled();
  assert.deepEqual(calls, []);
  assert.match((await deadLettersOf(bus))[0]!.error, /did not answer in time/);
});

test("bytes come as they were sent", async (t) => {
  const bus = await testBus(t);
  const Blob = command("blob", { codec: bytes });
  const seen: Uint8Array[] = [];
  bus.handle(Blob, (body) => void seen.push(Uint8Array.from(body)));
  await bus.send(Blob, new Uint8Array([0, 255, 1]));
  await bus.send(Blob, new Uint8Array());
  await bus.settled();
  assert.deepEqual(seen, [new Uint8Array([0, 255, 1]), new Uint8Array()]);
});

test("a codec of one's own writes and reads, and what it cannot read is an invalid payload", async (t) => {
  const bus = await testBus(t);
  const codec = {
    contentType: "text/hex",
    encode: (number: number) => number.toString(16),
    decode: (record: { valueText(): string }) => {
      const number = Number.parseInt(record.valueText(), 16);
      if (Number.isNaN(number)) throw NOTHING;
      return number;
    },
  };
  const Hex = command<number>("hex", { codec });
  const seen: number[] = [];
  bus.handle(Hex, (number, { message }) => {
    assert.equal(message.contentType, "text/hex");
    seen.push(number);
  });
  await bus.send(Hex, 255);
  await bus.settled();
  assert.deepEqual(seen, [255]);
  await bus.queue("hex").send("xyz");
  await bus.advance("1s");
  const [dead] = await deadLettersOf(bus);
  assert.equal(dead?.reason, "invalid-payload");
  assert.match(dead?.error ?? "", /thrown: null/);
});

test("what is no schema, codec, key, name or option of a type is refused when the type is made", async () => {
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ key: "id" }, /key of order\.placed/],
    [{ codec: {} }, /codec of order\.placed/],
    [{ schemas: z.string() }, /no option schemas/],
  ];
  for (const [options, message] of wrong) {
    await failsWith("INVALID_OPTION", () => event("order.placed", options as never), message);
    await failsWith("INVALID_OPTION", () => command("order.placed", options as never), message);
  }
  for (const schema of [null, {}, 5, { "~standard": {} }])
    await failsWith("INVALID_SCHEMA", () => event("order.placed", { schema: schema as never }));
  for (const name of ["", "a..b", "a.*", "#", "a\u0000", "a".repeat(2_000), undefined])
    await failsWith("INVALID_SUBJECT", () => event(name as string));
  await failsWith("INVALID_NAME", () => event("größe.geändert"), /größe/);
  await failsWith("INVALID_NAME", () => event("order.placed", { topic: "a/b" }));
  await failsWith("INVALID_NAME", () => command("order.place", { queue: "" }));
  assert.equal(event("größe.geändert", { topic: "size", codec: json }).topic, "size");
});
