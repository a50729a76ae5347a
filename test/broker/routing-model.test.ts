// Random exchanges and bindings, over restarts, held against the plainest way to say where a message goes.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Binding, ExchangeKind, TargetKind } from "../../src/broker/binding.js";
import type { Broker } from "../../src/broker/broker.js";
import { ConsistentHash } from "../../src/broker/consistent-hash.js";
import { BrokerWorld, message } from "../support/broker-world.js";

/** Exchanges are named for their kind. */
const KINDS: readonly ExchangeKind[] = ["direct", "fanout", "topic", "headers", "consistent-hash"];
const QUEUES = ["a", "b", "c"];
const PATTERNS: Readonly<Record<string, RegExp>> = {
  s: /^s$/,
  "s.t": /^s\.t$/,
  "s.*": /^s\.[^.]+$/,
  "#": /^/,
  "s.#": /^s(\.|$)/,
  "*.t": /^[^.]+\.t$/,
  "s.>": /^s\../,
};
const SUBJECTS = ["s", "s.t", "s.t.u", "other"];

interface Sent {
  readonly subject: string;
  readonly key: string | null;
  readonly region: string;
}

interface Edge {
  readonly from: string;
  readonly kind: TargetKind;
  readonly name: string;
  readonly choice: number;
}

type Step =
  | { readonly do: "declare"; readonly name: ExchangeKind; readonly alternate: ExchangeKind | undefined }
  | { readonly do: "delete"; readonly name: ExchangeKind }
  | { readonly do: "bind" | "unbind"; readonly edge: Edge }
  | { readonly do: "restart" };

const exchange = fc.constantFrom(...KINDS);
const alternate = fc.option(exchange, { nil: undefined });
const edge: fc.Arbitrary<Edge> = fc
  .record({
    from: fc.constantFrom("", ...KINDS),
    to: fc.constantFrom(
      ...QUEUES.map((name) => ({ kind: "queue" as const, name })),
      ...KINDS.map((name) => ({ kind: "exchange" as const, name })),
    ),
    choice: fc.nat(20),
  })
  .map(({ from, to, choice }) => ({ from, ...to, choice }));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("declare" as const),
    name: exchange,
    alternate,
  }),
  fc.record({ do: fc.constant("delete" as const), name: exchange }),
  { weight: 5, arbitrary: fc.record({ do: fc.constant("bind" as const), edge }) },
  fc.record({ do: fc.constant("unbind" as const), edge }),
  fc.record({ do: fc.constant("restart" as const) }),
);

function bindingFor({ from, kind, name, choice }: Edge): Binding {
  const patterns = Object.keys(PATTERNS);
  const to = { kind, name };
  switch (from) {
    case "fanout":
      return { from, to };
    case "direct":
      return { from, to, pattern: SUBJECTS[choice % SUBJECTS.length]! };
    case "headers":
      return {
        from,
        to,
        headers: {
          match: choice % 2 === 0 ? "all" : "any",
          values: { region: choice % 3 === 0 ? "eu" : "us", ...(choice % 5 === 0 ? { more: "1" } : {}) },
        },
      };
    case "consistent-hash":
      return { from, to, weight: 1 + (choice % 4) };
    default:
      return { from, to, pattern: patterns[choice % patterns.length]! };
  }
}

class Model {
  readonly alternates = new Map<string, string | undefined>();
  readonly bindings = new Map<string, Binding>();

  /** A weight is no part of what tells bindings apart. */
  key({ weight: _, ...binding }: Binding): string {
    return JSON.stringify(binding);
  }

  has(name: string): boolean {
    return name === "" || QUEUES.includes(name) || this.alternates.has(name);
  }

  delete(name: string): void {
    this.alternates.delete(name);
    for (const [key, { from, to }] of this.bindings)
      if (from === name || to.name === name) this.bindings.delete(key);
  }

  route(start: string, sent: Sent): string[] {
    const asked = [start];
    const found = new Set<string>();
    for (let name = asked[0]; name !== undefined; name = asked[asked.indexOf(name) + 1]) {
      const targets = this.#targets(name, sent);
      const alternate = this.alternates.get(name);
      const next = targets.filter(({ kind }) => kind === "exchange").map((target) => target.name);
      if (targets.length === 0 && alternate !== undefined && this.has(alternate)) next.push(alternate);
      for (const { kind, name: queue } of targets) if (kind === "queue") found.add(queue);
      for (const further of next) if (!asked.includes(further)) asked.push(further);
    }
    return [...found].sort();
  }

  #targets(name: string, { subject, key, region }: Sent): Binding["to"][] {
    const own = [...this.bindings.values()].filter(({ from }) => from === name);
    if (name === "consistent-hash") {
      const hash = new ConsistentHash<Binding["to"]>();
      for (const { to, weight } of own.reverse()) hash.set(`${to.kind}/${to.name}`, to, weight!);
      const chosen = hash.choose(key ?? subject);
      return chosen === undefined ? [] : [chosen];
    }
    const isMet = ({ pattern, headers }: Binding): boolean => {
      if (headers !== undefined) {
        const met = Object.entries(headers.values).map(
          ([header, value]) => header === "region" && value === region,
        );
        return headers.match === "all" ? met.every(Boolean) : met.some(Boolean);
      }
      if (pattern === undefined) return true;
      return name === "direct" ? pattern === subject : PATTERNS[pattern]!.test(subject);
    };
    return own.filter(isMet).map(({ to }) => to);
  }
}

async function apply(broker: Broker, model: Model, action: Exclude<Step, { do: "restart" }>): Promise<void> {
  if (action.do === "declare") {
    const { name, alternate } = action;
    if (model.has(name) || (alternate !== undefined && !model.has(alternate))) return;
    await broker.declareExchange(name, { kind: name, alternate });
    model.alternates.set(name, alternate);
  } else if (action.do === "delete") {
    if (!model.has(action.name)) return;
    await broker.deleteExchange(action.name);
    model.delete(action.name);
  } else {
    const { from, name } = action.edge;
    if (!model.has(from) || !model.has(name)) return;
    const binding = bindingFor(action.edge);
    await broker[action.do](binding);
    if (action.do === "bind") model.bindings.set(model.key(binding), binding);
    else model.bindings.delete(model.key(binding));
  }
}

function check(broker: Broker, model: Model): void {
  for (const start of ["", ...model.alternates.keys()])
    for (const subject of SUBJECTS)
      for (const [key, region] of [
        ["k1", "eu"],
        ["k2", "us"],
        [null, "none"],
      ] as const) {
        const appended = broker.publish(message("m", { subject, key, headers: { region } }), start);
        const reached = appended.map(({ destination }) => destination).sort();
        assert.deepEqual(reached, model.route(start, { subject, key, region }), `${subject} to '${start}'`);
      }
}

test("random exchanges and bindings lead messages as the plainest model says, over restarts", async () => {
  const declared = fc.tuple(
    ...KINDS.map((name) =>
      fc.record({ do: fc.constant("declare" as const), name: fc.constant(name), alternate }),
    ),
  );
  const steps = fc.array(step, { minLength: 20, maxLength: 60, size: "max" });
  const property = fc.asyncProperty(declared, steps, async (first, further) => {
    const world = new BrokerWorld();
    const model = new Model();
    let broker = await world.open({ durability: "memory" });
    for (const name of QUEUES) await broker.declareQueue(name);
    for (const action of [...first, ...further]) {
      if (action.do === "restart") {
        await broker.close();
        broker = await world.open({ durability: "memory" });
      } else await apply(broker, model, action);
      check(broker, model);
      assert.equal(broker.bindings.length, model.bindings.size);
    }
    await broker.close();
  });
  await fc.assert(property, { numRuns: 40 });
});
