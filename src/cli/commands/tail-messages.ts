// Finds the messages that `omnibus tail` shows, and prints them.

import { parsePattern, parseSubject } from "../../broker/subject.js";
import { PatternTrie } from "../../collections/pattern-trie.js";
import type { Bus, StoredMessage } from "../../index.js";
import type { CommonOptions } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { parseMoment } from "../format.js";
import { messageJson, messageLine } from "../message-view.js";
import type { World } from "../world.js";
import { type MessageSource, queueSource, topicSources } from "./tail-sources.js";

export interface TailOptions extends CommonOptions {
  readonly last?: number;
  readonly from?: string;
  readonly follow?: boolean;
  readonly raw?: boolean;
}

const LAST_DEFAULT = 10;

/** Each time the messages that match are too few, so many times more are read. */
const WINDOW_GROWTH = 8;

type Matches = (message: StoredMessage) => boolean;

export async function tail(world: World, bus: Bus, name: string, options: TailOptions): Promise<void> {
  const { sources, matches } = await find(world, bus, name);
  const shown =
    options.from === undefined
      ? await showLast(world, sources, matches, options)
      : await showFrom(world, sources, matches, options, options.from);
  if (options.follow === true) {
    await Promise.all(sources.map((source) => showFollowing(world, source, matches, options)));
  } else if (shown === 0 && options.json !== true) {
    world.note(`there are no messages in ${name}`);
  }
}

async function find(
  world: World,
  bus: Bus,
  name: string,
): Promise<{ sources: readonly MessageSource[]; matches: Matches }> {
  const { queues, topics } = await bus.statistics();
  const everything: Matches = () => true;
  const topic = topics.find((candidate) => candidate.name === name);
  if (topic !== undefined) return { sources: topicSources(world, bus, topic), matches: everything };
  if (queues.some((queue) => queue.name === name)) {
    return { sources: [await queueSource(world, bus, name)], matches: everything };
  }
  const sources = topics.flatMap((candidate) => topicSources(world, bus, candidate));
  const pattern = new PatternTrie<true>();
  const levels = parsePattern(name);
  pattern.add(levels, true);
  const isName = levels.every((level) => typeof level === "string");
  if (isName && !topics.some((candidate) => candidate.name === levels[0])) {
    throw new CommandFailure(
      EXIT.notFound,
      `there is no topic or queue ${name}`,
      "`omnibus topics` and `omnibus queues` show what there is",
    );
  }
  return { sources, matches: (message) => pattern.match(parseSubject(message.subject)).size > 0 };
}

async function showLast(
  world: World,
  sources: readonly MessageSource[],
  matches: Matches,
  options: TailOptions,
): Promise<number> {
  const count = options.last ?? LAST_DEFAULT;
  const found: StoredMessage[] = [];
  for (const source of sources) found.push(...(await lastOf(world, source, matches, count)));
  found.sort((a, b) => a.timestampMs - b.timestampMs || a.offset - b.offset);
  const last = count === 0 ? [] : found.slice(-count);
  for (const message of last) await show(world, message, options);
  return last.length;
}

/** The last `count` messages of one source that match: reads back in windows that grow. */
async function lastOf(
  world: World,
  source: MessageSource,
  matches: Matches,
  count: number,
): Promise<StoredMessage[]> {
  if (count === 0) return [];
  for (let window = count; ; window *= WINDOW_GROWTH) {
    const from = Math.max(source.start, source.end - window);
    let found: StoredMessage[] = [];
    for await (const message of source.read(from)) {
      if (world.signal.aborted) return [];
      if (matches(message)) found.push(message);
      if (found.length >= count * 2) found = found.slice(-count);
    }
    if (found.length >= count || from === source.start) return found.slice(-count);
  }
}

async function showFrom(
  world: World,
  sources: readonly MessageSource[],
  matches: Matches,
  options: TailOptions,
  from: string,
): Promise<number> {
  const where = parseFrom(world, from);
  let shown = 0;
  for (const source of sources) {
    for await (const message of source.read(where)) {
      if (world.signal.aborted || shown === options.last) return shown;
      if (!matches(message)) continue;
      await show(world, message, options);
      shown += 1;
    }
  }
  return shown;
}

function parseFrom(world: World, from: string): number | "beginning" | Date {
  if (from === "beginning") return from;
  if (/^\d+$/.test(from)) return Number(from);
  return parseMoment(from, "--from", world.io.clock.nowMs());
}

async function showFollowing(
  world: World,
  source: MessageSource,
  matches: Matches,
  options: TailOptions,
): Promise<void> {
  for await (const message of source.follow()) {
    if (world.signal.aborted) return;
    if (matches(message)) await show(world, message, options);
  }
}

async function show(world: World, message: StoredMessage, options: TailOptions): Promise<void> {
  if (options.raw === true) {
    await world.raw(Buffer.concat([message.body, LINE_END]));
  } else if (options.json === true) {
    await world.json(messageJson(message));
  } else {
    await world.line(messageLine(world, message));
  }
}

const LINE_END = Buffer.from("\n");
