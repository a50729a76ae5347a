// npm run torture: kills a working process again and again, and accounts for every message.

import { Command, InvalidArgumentError } from "commander";
import { type TortureSummary, torture } from "./run.js";

const KILLS = 500;

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("a whole number from 1 on");
  return value;
}

const { kills, seed, json } = new Command("npm run torture --")
  .description(
    "Kills a process with SIGKILL that publishes, consumes and transacts on a real disk, again and again, and then accounts for every message.",
  )
  .option("--kills <count>", "how often", whole, KILLS)
  .option("--seed <number>", "draws the instants of the kills", whole, 1 + (Date.now() % 1_000_000_007))
  .option("--json", "print one JSON object and nothing else on standard output", false)
  .parse()
  .opts<{ kills: number; seed: number; json: boolean }>();

const summary = await torture(kills, seed, (dead, acknowledged) => {
  if (process.stderr.isTTY) process.stderr.write(`\r${progress(dead, acknowledged)}`);
  else if (dead % 50 === 0) process.stderr.write(`${progress(dead, acknowledged)}\n`);
});
if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
process.stdout.write(json ? `${JSON.stringify(summary)}\n` : described(summary));
process.exitCode = summary.violations === 0 ? 0 : 1;

function progress(dead: number, acknowledged: number): string {
  return `${dead} of ${kills} kills, ${acknowledged.toLocaleString("en")} messages acknowledged`;
}

function described(found: TortureSummary): string {
  const rows: [string, number][] = [
    ["kills", found.kills],
    ["  while recovering", found.killsDuringRecovery],
    ["messages acknowledged", found.acknowledged],
    ["handled, by each consumer", found.handled],
    ["  handled again after a kill", found.repeated],
    ["moved in one step", found.transactions],
    ["dead letters", found.deadLetters],
    ["seconds", found.seconds],
    ["violations", found.violations],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(
    ([name, value]) => `${name.padEnd(width)}  ${value.toLocaleString("en").padStart(12)}`,
  );
  if (found.violations > 0)
    lines.push(
      "",
      ...found.problems,
      "",
      `The data is kept in ${found.directory}. The same instants again: npm run torture -- --kills ${found.kills} --seed ${found.seed}`,
    );
  return `${lines.join("\n")}\n`;
}
