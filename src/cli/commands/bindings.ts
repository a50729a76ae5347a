// `omnibus bindings`: where messages are led.

import { Command } from "commander";
import type { BindingView, ExchangeView, ForwardView, RoutingView } from "../../index.js";
import { type CommonOptions, lookInto } from "../data-directory.js";
import { withExamples } from "../help.js";
import { type Column, renderTable } from "../table.js";
import type { World } from "../world.js";

const COLUMNS: readonly Column[] = [{ title: "from" }, { title: "kind" }, { title: "when" }, { title: "to" }];

export function bindingsCommand(world: World): Command {
  const command = new Command("bindings")
    .summary("show where messages are led: exchanges, bindings, forwards")
    .description(
      "Shows what is bound to the bus and to every exchange, where exchanges lead what nothing is bound for, and\n" +
        "which queues forward their messages. Works beside a process that holds the data directory.",
    );
  withExamples(command, [
    ["omnibus bindings", "a table"],
    ["omnibus bindings --json | jq 'select(.to.name == \"billing\")'", "what leads to one queue"],
  ]);
  return command.action(async () => {
    const options = command.optsWithGlobals<CommonOptions>();
    const routing = await lookInto(world, options, async (bus) => bus.routing());
    await show(world, options, routing);
  });
}

async function show(world: World, options: CommonOptions, routing: RoutingView): Promise<void> {
  const { exchanges, bindings, forwards } = routing;
  if (options.json === true) {
    for (const exchange of exchanges) await world.json({ type: "exchange", ...exchange });
    for (const binding of bindings) await world.json({ type: "binding", ...binding });
    for (const forward of forwards) await world.json({ type: "forward", ...forward });
    return;
  }
  const rows = [
    ...bindings.filter(({ from }) => from === "").map((binding) => bindingRow(world, "topic", binding)),
    ...exchanges.flatMap((exchange) => exchangeRows(world, exchange, bindings)),
    ...forwards.map((forward) => forwardRow(world, forward)),
  ];
  if (rows.length === 0) {
    await world.line(
      `Nothing is bound in ${options.data}. Make a topic: omnibus publish order.placed '{"id":"o-1"}'`,
    );
    return;
  }
  await world.line(renderTable(COLUMNS, rows, world.colours));
}

function exchangeRows(world: World, exchange: ExchangeView, bindings: readonly BindingView[]): string[][] {
  const { name, kind, alternate } = exchange;
  const own = bindings.filter(({ from }) => from === name).map((binding) => bindingRow(world, kind, binding));
  const rest =
    alternate === undefined ? [] : [[nameOf(world, name), kind, "nothing else", `exchange ${alternate}`]];
  if (own.length + rest.length === 0) return [[nameOf(world, name), kind, "", "nowhere"]];
  return [...own, ...rest];
}

function bindingRow(world: World, kind: string, { from, to, ...condition }: BindingView): string[] {
  return [nameOf(world, from), kind, conditionText(condition), `${to.kind} ${to.name}`];
}

function conditionText({
  pattern,
  headers,
  weight,
}: Pick<BindingView, "pattern" | "headers" | "weight">): string {
  if (pattern !== undefined) return pattern;
  if (weight !== undefined) return `weight ${weight}`;
  if (headers === undefined) return "always";
  const values = Object.entries(headers.values).map(([name, value]) => `${name}=${value}`);
  return values.length === 0 ? "always" : values.join(headers.match === "all" ? " and " : " or ");
}

function forwardRow(world: World, { queue, exchange, subject }: ForwardView): string[] {
  const where = exchange === "" ? "the bus" : `exchange ${exchange}`;
  const text = subject === undefined ? where : `${where} as ${subject}`;
  return [world.colours.cyan(queue), "forward", "always", text];
}

function nameOf(world: World, exchange: string): string {
  return exchange === "" ? "(the bus)" : world.colours.cyan(exchange);
}
