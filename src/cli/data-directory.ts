// Opens the data directory that a command works on: beside its holder to look at it, alone to change it.

import { type Bus, embedded, openBus } from "../index.js";
import { EXIT } from "./exit-codes.js";
import { CommandFailure } from "./failure.js";
import type { World } from "./world.js";

export const DATA_DEFAULT = "./omnibus-data";

/** The options that every command has. */
export interface CommonOptions {
  /** The data directory. */
  readonly data: string;
  /** Standard output is for a program. */
  readonly json?: boolean;
  /** Errors come with their stack. */
  readonly debug?: boolean;
}

/** Runs `work` on a bus that only reads, beside whatever process holds the directory. Errors: 66 when it is not there. */
export async function lookInto<T>(
  world: World,
  options: CommonOptions,
  work: (bus: Bus) => Promise<T>,
): Promise<T> {
  await assertThere(world, options.data);
  return using(await openAt(world, options.data, true), work);
}

/** Runs `work` on a bus of this process's own in a directory that is there already. Errors: 66, or 75 when it is held. */
export async function changeIn<T>(
  world: World,
  options: CommonOptions,
  work: (bus: Bus) => Promise<T>,
): Promise<T> {
  await assertThere(world, options.data);
  return using(await openAt(world, options.data, false), work);
}

/** Like {@link changeIn}, and makes the directory when it is not there. */
export async function writeTo<T>(
  world: World,
  options: CommonOptions,
  work: (bus: Bus) => Promise<T>,
): Promise<T> {
  return using(await openAt(world, options.data, false), work);
}

function openAt(world: World, directory: string, readOnly: boolean): Promise<Bus> {
  return openBus(embedded({ directory, readOnly, io: world.io }), {
    onError: (error, where) =>
      world.note(`warning: ${where}: ${error instanceof Error ? error.message : error}`),
  });
}

async function using<T>(bus: Bus, work: (bus: Bus) => Promise<T>): Promise<T> {
  try {
    return await work(bus);
  } finally {
    await bus.close();
  }
}

/** Errors: 66 when the directory is not there. */
export async function assertThere(world: World, directory: string): Promise<void> {
  const { files } = world.io;
  if (await files.exists(`${directory}/format.json`)) return;
  throw new CommandFailure(
    EXIT.notFound,
    (await files.exists(directory))
      ? `${directory} is no data directory`
      : `there is no data directory ${directory}`,
    "give its path with --data or OMNIBUS_DATA; `omnibus demo` and `omnibus send` make one",
  );
}
