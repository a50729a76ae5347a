// Finds the messages that `omnibus tail` shows, and prints them.

import { parsePattern, parseSubject } from "../../broker/subject.js";
import { type PatternNode, PatternTrie } from "../../collections/pattern-trie.js";
import type { Bus, StoredMessage } from "../../index.js";
import { type CommonOptions, lookInto } from "../data-directory.js";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { parseMoment } from "../format.js";
import { jsonWithBody, messageFields, messageLine } from "../message-view.js";
import type { World } from "../world.js";
import { type From, type MessageSource, queueSource, topicSources } from "./tail-sources.js";

export interface TailOptions extends CommonOptions {
  readonly last?: number;
  readonly from?: string;
  readonly follow?: boolean;
  readonly raw?: boolean;
}

const LAST_DEFAULT = 10;

/** Each time the messages that match are too few, so many times more are read. */
const WINDOW_GROWTH = 8;

/** How often the directory is looked at again while following. */
const LOOK_AGAIN_MS = 250;

const LINE_END = Buffer.from("\n");

export class Tail {
  private readonly world: World;
  private readonly name: string;
  private readonly options: TailOptions;
  /** Of each source, the first offset that was not seen. */
  private readonly positions: Map<string, number>;

  constructor(world: World, name: string, options: TailOptions) {
    this.world = world;
    this.name = name;
    this.options = options;
    this.positions = new Map();
  }

  async run(): Promise<void> {
    const { world, options } = this;
    const shown = await lookInto(world, options, (bus) => this.#showFirst(bus));
    if (shown === 0 && options.follow !== true && options.json !== true) {
      world.note(`there are no messages in ${this.name}`);
    }
    while (options.follow === true && !world.signal.aborted) {
      await world.pause(LOOK_AGAIN_MS);
      if (!world.signal.aborted) await lookInto(world, options, (bus) => this.#showMore(bus));
    }
  }

  async #showFirst(bus: Bus): Promise<number> {
    const { sources, matches } = this.#find(bus);
    const { from } = this.options;
    return from === undefined
      ? this.#showLast(sources, matches)
      : this.#showFrom(sources, matches, parseFrom(this.world, from));
  }

  #find(bus: Bus): { sources: readonly MessageSource[]; matches: (message: StoredMessage) => boolean } {
    const { name } = this;
    const { queues, topics } = bus.statistics();
    const topic = topics.find((candidate) => candidate.name === name);
    if (topic !== undefined) return { sources: topicSources(bus, topic), matches: () => true };
    const queue = queues.find((candidate) => candidate.name === name);
    if (queue !== undefined) return { sources: [queueSource(bus, queue)], matches: () => true };
    const levels = parsePattern(name);
    const isName = levels.every((level) => typeof level === "string");
    if (isName && !topics.some((candidate) => candidate.name === levels[0])) {
      throw new CommandFailure(
        EXIT.notFound,
        `there is no topic or queue ${name}`,
        "`omnibus topics` and `omnibus queues` show what there is",
      );
    }
    return {
      sources: topics.flatMap((candidate) => topicSources(bus, candidate)),
      matches: matcherOf(levels),
    };
  }

  async #showLast(sources: readonly MessageSource[], matches: Matches): Promise<number> {
    const count = this.options.last ?? LAST_DEFAULT;
    const found: StoredMessage[] = [];
    for (const source of sources) found.push(...(await this.#lastOf(source, matches, count)));
    found.sort((a, b) => a.timestampMs - b.timestampMs || a.offset - b.offset);
    const last = count === 0 ? [] : found.slice(-count);
    for (const message of last) await this.#show(message);
    return last.length;
  }

  /** The last `count` messages of one source that match: reads back in windows that grow. */
  async #lastOf(source: MessageSource, matches: Matches, count: number): Promise<StoredMessage[]> {
    for (let window = count; ; window *= WINDOW_GROWTH) {
      const from = Math.max(source.start, source.end - window);
      let found: StoredMessage[] = [];
      for await (const message of this.#read(source, from)) {
        if (matches(message)) found.push(message);
        if (found.length >= count * 2 + 1) found = lastFew(found, count);
      }
      if (found.length >= count || from === source.start || this.world.signal.aborted)
        return lastFew(found, count);
    }
  }

  async #showFrom(sources: readonly MessageSource[], matches: Matches, from: From): Promise<number> {
    let shown = 0;
    for (const source of sources) {
      for await (const message of this.#read(source, from)) {
        if (shown === this.options.last) return shown;
        if (!matches(message)) continue;
        await this.#show(message);
        shown += 1;
      }
    }
    return shown;
  }

  async #showMore(bus: Bus): Promise<void> {
    const { sources, matches } = this.#find(bus);
    for (const source of sources) {
      for await (const message of this.#read(source, this.positions.get(source.name) ?? source.start)) {
        if (matches(message)) await this.#show(message);
      }
    }
  }

  /** What is there, until interrupted; remembers how far it was read. */
  async *#read(source: MessageSource, from: From): AsyncGenerator<StoredMessage> {
    this.positions.set(source.name, Math.max(this.positions.get(source.name) ?? 0, source.end));
    for await (const message of source.read(from)) {
      if (this.world.signal.aborted) return;
      if (message.offset >= this.positions.get(source.name)!)
        this.positions.set(source.name, message.offset + 1);
      yield message;
    }
  }

  async #show(message: StoredMessage): Promise<void> {
    if (this.options.raw === true) {
      await this.world.raw(Buffer.concat([message.body, LINE_END]));
    } else if (this.options.json === true) {
      await this.world.line(jsonWithBody(messageFields(message), message.body));
    } else {
      await this.world.line(messageLine(this.world, message));
    }
  }
}

type Matches = (message: StoredMessage) => boolean;

/** Remembers its last answer: messages of one subject mostly come together. */
function matcherOf(levels: readonly PatternNode[]): Matches {
  const pattern = new PatternTrie<true>();
  pattern.add(levels, true);
  let lastSubject = "";
  let lastAnswer = false;
  return ({ subject }) => {
    if (subject !== lastSubject) {
      lastSubject = subject;
      lastAnswer = pattern.match(parseSubject(subject)).size > 0;
    }
    return lastAnswer;
  };
}

function lastFew(messages: StoredMessage[], count: number): StoredMessage[] {
  return count === 0 ? [] : messages.slice(-count);
}

function parseFrom(world: World, from: string): From {
  if (from === "beginning") return from;
  if (/^\d+$/.test(from)) return Number(from);
  return parseMoment(from, "--from", world.io.clock.nowMs());
}
