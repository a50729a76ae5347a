// `omnibus verify` and `omnibus repair`: what is wrong with a data directory, and going on without it.

import { Command } from "commander";
import {
  type Finding,
  type Repair,
  repairDataDirectory,
  type Verification,
  verifyDataDirectory,
} from "../../broker/verification.js";
import { assertThere, type CommonOptions } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { formatAmount, formatBytes } from "../format.js";
import { withExamples } from "../help.js";
import { Progress } from "../progress.js";
import type { World } from "../world.js";

export function verifyCommand(world: World): Command {
  const command = new Command("verify")
    .summary("read every byte of the data directory and say what is damaged")
    .description(
      "Reads every segment, the journal and the definitions, and checks every checksum. Changes nothing. Ends with 1 when\n" +
        "something is damaged. Stop the program that has the directory open before.",
    );
  withExamples(command, [
    ["omnibus verify", "a line for everything that is found, with file and byte"],
    ["omnibus verify --json | jq '.findings[] | select(.severity == \"damage\").path'", "the damaged files"],
  ]);
  return command.action(async () => {
    const options = command.optsWithGlobals<CommonOptions>();
    await assertThere(world, options.data);
    const verification = await withProgress(world, (onLog) =>
      verifyDataDirectory(world.io, options.data, onLog),
    );
    if (options.json === true) await world.json(verification);
    else await showVerification(world, verification);
    failIfDamaged(verification, "`omnibus repair` goes on without what is damaged, and keeps a copy");
  });
}

export function repairCommand(world: World): Command {
  const command = new Command("repair")
    .summary("take what is damaged out of the data directory, and say what was given up")
    .description(
      "Makes a damaged data directory usable again without inventing anything: damaged bytes are taken out, everything sound\n" +
        "stays, and the offsets of the messages that are lost are printed and written down. A copy of every file that is\n" +
        "changed is kept in the directory. Changes nothing where nothing is damaged.",
    );
  withExamples(command, [
    ["omnibus verify && echo sound || omnibus repair", "look before"],
    ["omnibus repair --json | jq '.givenUp'", "the lost offsets by log"],
  ]);
  return command.action(async () => {
    const options = command.optsWithGlobals<CommonOptions>();
    await assertThere(world, options.data);
    const repair = await withProgress(world, (onLog) => repairDataDirectory(world.io, options.data, onLog));
    if (options.json === true) await world.json(repair);
    else await showRepair(world, repair);
    failIfDamaged(repair.after, "some of it cannot be repaired; restore the directory from a copy");
  });
}

async function withProgress<T>(
  world: World,
  work: (onLog: (name: string, index: number) => void) => Promise<T>,
): Promise<T> {
  const progress = new Progress(world, "logs");
  try {
    return await work((_, index) => progress.update(index + 1));
  } finally {
    progress.finish();
  }
}

async function showVerification(world: World, verification: Verification): Promise<void> {
  const { findings, logs, batches, records, bytes } = verification;
  for (const finding of findings) await showFinding(world, finding);
  const read = `${formatAmount(logs, "log")}, ${formatAmount(batches, "batch", "batches")}, ${formatAmount(records, "record")}, ${formatBytes(bytes)}`;
  const damages = findings.filter(({ severity }) => severity === "damage").length;
  await world.line(damages === 0 ? `sound: ${read}` : `${formatAmount(damages, "place")} damaged: ${read}`);
}

async function showFinding(world: World, { severity, path, position, what }: Finding): Promise<void> {
  const { red, yellow } = world.colours;
  const colour = severity === "damage" ? red : yellow;
  await world.line(`${colour(severity)}: ${path}, byte ${position}: ${what}`);
}

async function showRepair(world: World, { found, givenUp, copy, after }: Repair): Promise<void> {
  if (copy === undefined) {
    await world.line("nothing is damaged, and nothing was changed");
    return;
  }
  for (const finding of found) await showFinding(world, finding);
  for (const { log, start, end } of givenUp)
    await world.line(`given up: ${log}, ${formatAmount(end - start, "offset")} from ${start}`);
  if (givenUp.length === 0) await world.line("nothing was given up");
  await world.line(`what was changed is kept as it was in ${copy}`);
  await showVerification(world, after);
}

function failIfDamaged({ findings }: Verification, hint: string): void {
  const count = findings.filter(({ severity }) => severity === "damage").length;
  if (count > 0)
    throw new CommandFailure(
      EXIT.failed,
      `the data directory is damaged in ${formatAmount(count, "place")}`,
      hint,
    );
}
