// Sequences of lines of the NATS protocol that a seed decides, sent by two clients: also such as a client should not send.

import { SeededRandom } from "../../support/seeded-random.js";

/** Bytes for one of the clients; what all of them then receive is one observation. */
export interface Operation {
  readonly client: number;
  readonly bytes: string;
}

export const CLIENTS = 2;

const SUBJECTS = ["a", "b", "a.b", "a.b.c", "a.b.d", "ünder.way", "A.b", "$a.b", "a-b", "#", "a.#"];
const PATTERNS = [...SUBJECTS, "*", ">", "a.*", "*.b", "a.>", "a.*.c", "*.*", "a.*.>"];
const NOT_PATTERNS = ["a..b", ".a", "a.", "a.>.b", ">.a"];
/** Not such with an empty token: those are subjects of the bus, and reach whoever looks on (docs/protocols/nats.md). */
const ODD_SUBJECTS = ["a.>.b", "a*", ">.a", "a.*", ">"];
const HEADERS = [
  "NATS/1.0\r\n\r\n",
  "NATS/1.0\r\nColour: red\r\n\r\n",
  "NATS/1.0\r\nColour: red\r\nColour: blue\r\nsize:3\r\n\r\n",
];
const CONNECTS = [
  {},
  { verbose: true },
  { pedantic: true },
  { echo: false },
  { headers: true, no_responders: true },
  { headers: true },
  { verbose: true, pedantic: true, headers: true, no_responders: true },
];
/** Lines that a server refuses, or takes although they look odd. */
const ODD = [
  "PONG\r\n",
  "pub a 1\r\nx\r\n",
  "sub a 90\r\n",
  "SUB  a   91 \r\n",
  "SUB\ta\t92\r\n",
  "UNSUB 93\r\n",
  "SUB a\r\n",
  "PUB a\r\n",
  "PUB a -1\r\n",
  "PUB a x\r\nx\r\n",
  "PUB a 2\r\nabc\r\n",
  "HPUB a 12\r\n",
  "HPUB a 22 12\r\nNATS/1.0\r\n\r\n\r\n",
  "HELLO\r\n",
  "+OK\r\n",
  "MSG a 1 1\r\nx\r\n",
  "PUB a 67108865\r\n",
  "\r\n",
];

/** The queue group of the subscriptions with this number: it tells a message for one of a group from others. */
export function groupOf(sid: number): string | undefined {
  return ["workers", "others", undefined, undefined, undefined][sid % 5];
}

export function operations(seed: number, count: number): Operation[] {
  const drawing = new Drawing(new SeededRandom(seed));
  const connects = Array.from({ length: CLIENTS }, (_, client) => drawing.connect(client));
  return [...connects, ...Array.from({ length: count }, () => drawing.next())];
}

class Drawing {
  readonly #random: SeededRandom;
  #bodies = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  connect(client: number): Operation {
    const options = { lang: "test", version: "1", protocol: 1, ...this.#random.pick(CONNECTS) };
    return { client, bytes: `CONNECT ${JSON.stringify(options)}\r\n` };
  }

  next(): Operation {
    const random = this.#random;
    const client = random.below(CLIENTS);
    return { client, bytes: this.#bytes() };
  }

  #bytes(): string {
    const random = this.#random;
    const draw = random.below(100);
    if (draw < 30) return this.#subscribe();
    if (draw < 40) return this.#unsubscribe();
    if (draw < 80) return this.#publish();
    if (draw < 93) return this.#publishWithHeaders();
    if (draw < 96) return this.connect(0).bytes;
    return random.pick(ODD);
  }

  #subscribe(): string {
    const random = this.#random;
    const pattern = random.chance(0.05) ? random.pick(NOT_PATTERNS) : random.pick(PATTERNS);
    const sid = random.below(12);
    const queue = groupOf(sid);
    return `SUB ${pattern} ${queue === undefined ? "" : `${queue} `}${sid}\r\n`;
  }

  #unsubscribe(): string {
    const random = this.#random;
    const max = random.chance(0.5) ? ` ${1 + random.below(3)}` : "";
    return `UNSUB ${random.below(12)}${max}\r\n`;
  }

  #publish(): string {
    const body = this.#body();
    return `PUB ${this.#subject()} ${this.#reply()}${Buffer.byteLength(body)}\r\n${body}\r\n`;
  }

  #publishWithHeaders(): string {
    const head = this.#random.pick(HEADERS);
    const body = this.#body();
    const size = Buffer.byteLength(head) + Buffer.byteLength(body);
    return `HPUB ${this.#subject()} ${this.#reply()}${Buffer.byteLength(head)} ${size}\r\n${head}${body}\r\n`;
  }

  #subject(): string {
    const random = this.#random;
    if (random.chance(0.04)) return random.pick(ODD_SUBJECTS);
    return random.pick(SUBJECTS);
  }

  #reply(): string {
    return this.#random.chance(0.3) ? `${this.#random.pick(["r.1", "b", "a.b"])} ` : "";
  }

  #body(): string {
    this.#bodies += 1;
    const random = this.#random;
    if (random.chance(0.1)) return "";
    return random.chance(0.1) ? "two\r\nlines" : `body ${this.#bodies}`;
  }
}
