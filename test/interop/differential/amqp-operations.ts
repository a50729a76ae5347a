// Sequences of AMQP operations that a seed decides. They name things that may not be there, and do what is forbidden: the
// errors are compared as well.

import { SeededRandom } from "../../support/seeded-random.js";

export type Operation =
  | {
      readonly do: "declare queue";
      readonly queue: string;
      readonly durable: boolean;
      readonly autoDelete: boolean;
      readonly exclusive: boolean;
      readonly arguments: Readonly<Record<string, unknown>>;
    }
  | { readonly do: "look at queue"; readonly queue: string }
  | {
      readonly do: "delete queue";
      readonly queue: string;
      readonly ifUnused: boolean;
      readonly ifEmpty: boolean;
    }
  | { readonly do: "purge"; readonly queue: string }
  | {
      readonly do: "declare exchange";
      readonly exchange: string;
      readonly type: string;
      readonly durable: boolean;
      readonly autoDelete: boolean;
      readonly internal: boolean;
      readonly alternate: string | undefined;
    }
  | { readonly do: "look at exchange"; readonly exchange: string }
  | { readonly do: "delete exchange"; readonly exchange: string; readonly ifUnused: boolean }
  | Binding<"bind queue">
  | Binding<"unbind queue">
  | Binding<"bind exchange">
  | Binding<"unbind exchange">
  | {
      readonly do: "publish";
      readonly exchange: string;
      readonly key: string;
      readonly body: string;
      readonly mandatory: boolean;
      readonly properties: Readonly<Record<string, unknown>>;
    }
  | { readonly do: "get"; readonly queue: string; readonly noAck: boolean }
  | { readonly do: "consume"; readonly queue: string; readonly prefetch: number; readonly noAck: boolean }
  | {
      readonly do: "settle";
      /** Counted from the oldest message that is held. */
      readonly which: number;
      readonly how: "ack" | "nack" | "reject";
      readonly isMultiple: boolean;
      readonly requeue: boolean;
    }
  | { readonly do: "settle again" }
  | { readonly do: "recover" }
  | {
      readonly do: "commit";
      readonly exchange: string;
      readonly key: string;
      readonly bodies: readonly string[];
    }
  | {
      readonly do: "roll back";
      readonly exchange: string;
      readonly key: string;
      readonly bodies: readonly string[];
    }
  | { readonly do: "close channel" };

interface Binding<Verb extends string> {
  readonly do: Verb;
  readonly to: string;
  readonly from: string;
  readonly key: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

const KEYS = ["a", "b", "a.b", "a.b.c", "b.b", "", "a..b", ".", "*", "#", "ünder"];
const PATTERNS = [...KEYS, "a.*", "*.b", "a.#", "#.b", "*.*", "a.#.c", "#.#", "*.#"];
const TYPES = ["direct", "fanout", "topic", "headers"];
const VALID_ARGUMENTS: readonly Readonly<Record<string, unknown>>[] = [
  {},
  {},
  {},
  { "x-max-length": 2 },
  { "x-max-length": 2, "x-overflow": "reject-publish" },
  { "x-max-length-bytes": 10 },
  { "x-max-priority": 5 },
  { "x-single-active-consumer": true },
  { "x-expires": 600_000 },
  { "x-message-ttl": 600_000 },
];
const INVALID_ARGUMENTS: readonly Readonly<Record<string, unknown>>[] = [
  { "x-max-length": -1 },
  { "x-overflow": "nonsense" },
  { "x-message-ttl": "soon" },
  { "x-dead-letter-routing-key": "a" },
  { "x-unknown": true },
];
const HEADERS: readonly Readonly<Record<string, unknown>>[] = [
  {},
  { colour: "red" },
  { colour: "red", size: 3 },
  { colour: "blue", isNew: true },
];
const CONDITIONS: readonly Readonly<Record<string, unknown>>[] = [
  {},
  { "x-match": "all", colour: "red" },
  { "x-match": "any", colour: "red", size: 3 },
  { "x-match": "all", colour: "red", size: 3 },
  { colour: "blue" },
  { "x-match": "some", colour: "red" },
];

/** `count` operations after those that make what they mostly use; names begin with something of their own for each seed. */
export function operations(seed: number, count: number): Operation[] {
  const random = new SeededRandom(seed);
  const drawing = new Drawing(random, `diff.${seed}.`, seed % 2 === 0);
  return [...drawing.beginning(), ...Array.from({ length: count }, () => drawing.next())];
}

class Drawing {
  readonly #random: SeededRandom;
  readonly #queues: readonly string[];
  readonly #exchanges: readonly string[];
  readonly #commits: boolean;
  #bodies = 0;

  /**
   * Transactions are committed, or queues refuse messages, but not both: Omnibus takes all of a transaction or nothing, and
   * RabbitMQ what there is room for.
   */
  constructor(random: SeededRandom, prefix: string, commits: boolean) {
    this.#commits = commits;
    this.#random = random;
    this.#queues = ["q0", "q1", "q2", "q 3/ü"].map((name) => prefix + name);
    this.#exchanges = ["e0", "e1", "e2"].map((name) => prefix + name);
  }

  /** Queues and exchanges, and what leads to them. */
  beginning(): Operation[] {
    const queues = this.#queues.map((queue) => this.#queueLike(queue, this.#validArguments()));
    const exchanges = this.#exchanges.map((exchange) => this.#exchangeLike(exchange));
    return [...exchanges, ...queues, ...Array.from({ length: 8 }, () => this.#binding("bind"))];
  }

  next(): Operation {
    const random = this.#random;
    const draw = random.below(100);
    if (draw < 8) return this.#declareQueue();
    if (draw < 14) return this.#declareExchange();
    if (draw < 24) return this.#binding(random.chance(0.7) ? "bind" : "unbind");
    if (draw < 60) return this.#publish();
    if (draw < 74) return { do: "get", queue: this.#queue(), noAck: random.chance(0.3) };
    if (draw < 86) return this.#settle();
    return this.#rare();
  }

  #rare(): Operation {
    const random = this.#random;
    switch (random.below(11)) {
      case 0:
        return {
          do: "delete queue",
          queue: this.#queue(),
          ifUnused: random.chance(0.3),
          ifEmpty: random.chance(0.3),
        };
      case 1:
        return { do: "delete exchange", exchange: this.#exchange(), ifUnused: random.chance(0.5) };
      case 2:
        return { do: "purge", queue: this.#queue() };
      case 3:
        return { do: "look at exchange", exchange: this.#exchange() };
      case 4:
        return { do: "recover" };
      case 5:
        return { do: "settle again" };
      case 6:
        return { do: "close channel" };
      case 7:
      case 8:
        return {
          do: this.#commits && random.chance(0.8) ? "commit" : "roll back",
          exchange: this.#exchange(),
          key: random.pick(KEYS),
          bodies: Array.from({ length: 1 + random.below(3) }, () => this.#body()),
        };
      default:
        return {
          do: "consume",
          queue: this.#queue(),
          prefetch: random.below(4),
          noAck: random.chance(0.3),
        };
    }
  }

  #queue(): string {
    return this.#random.chance(0.03) ? "diff.nowhere" : this.#random.pick(this.#queues);
  }

  #exchange(): string {
    const random = this.#random;
    if (random.chance(0.1)) return random.pick(["", "amq.direct", "amq.fanout", "amq.topic", "diff.nowhere"]);
    return random.pick(this.#exchanges);
  }

  #body(): string {
    this.#bodies += 1;
    return `body ${this.#bodies}`;
  }

  #declareQueue(): Operation {
    const random = this.#random;
    if (random.chance(0.25)) return { do: "look at queue", queue: this.#queue() };
    const queue = random.chance(0.03) ? "amq.mine" : random.pick(this.#queues);
    const isValid = !random.chance(0.2);
    return this.#queueLike(queue, isValid ? this.#validArguments() : random.pick(INVALID_ARGUMENTS));
  }

  #validArguments(): Readonly<Record<string, unknown>> {
    const drawn = this.#random.pick(VALID_ARGUMENTS);
    return this.#commits && drawn["x-overflow"] === "reject-publish" ? {} : drawn;
  }

  #queueLike(queue: string, declared: Readonly<Record<string, unknown>>): Operation {
    const random = this.#random;
    return {
      do: "declare queue",
      queue,
      durable: random.chance(0.7),
      autoDelete: random.chance(0.1),
      exclusive: random.chance(0.1),
      arguments: declared,
    };
  }

  #declareExchange(): Operation {
    const random = this.#random;
    const exchange = random.chance(0.1)
      ? random.pick(["amq.direct", "amq.mine"])
      : random.pick(this.#exchanges);
    return this.#exchangeLike(exchange);
  }

  #exchangeLike(exchange: string): Operation {
    const random = this.#random;
    return {
      do: "declare exchange",
      exchange,
      type: random.chance(0.03) ? "x-nonsense" : random.pick(TYPES),
      durable: random.chance(0.7),
      autoDelete: random.chance(0.15),
      internal: random.chance(0.1),
      alternate: random.chance(0.2) ? random.pick(this.#exchanges) : undefined,
    };
  }

  #binding(verb: "bind" | "unbind"): Operation {
    const random = this.#random;
    const isOfQueue = random.chance(0.75);
    return {
      do: isOfQueue ? `${verb} queue` : `${verb} exchange`,
      to: isOfQueue ? this.#queue() : this.#exchange(),
      from: this.#exchange(),
      key: random.pick(PATTERNS),
      arguments: random.chance(0.3) ? random.pick(CONDITIONS) : {},
    };
  }

  #publish(): Operation {
    const random = this.#random;
    const isToQueue = random.chance(0.4);
    const properties: Record<string, unknown> = {};
    if (random.chance(0.3)) properties["headers"] = random.pick(HEADERS);
    if (random.chance(0.3)) properties["priority"] = random.below(8);
    if (random.chance(0.5)) properties["persistent"] = true;
    if (random.chance(0.2)) properties["contentType"] = "text/plain";
    if (random.chance(0.2)) properties["correlationId"] = `c${random.below(100)}`;
    if (random.chance(0.1)) properties["messageId"] = `m${random.below(100)}`;
    if (random.chance(0.1)) properties["timestamp"] = 1_700_000_000 + random.below(100);
    if (random.chance(0.05)) properties["expiration"] = random.pick(["600000", "soon", "-1"]);
    if (random.chance(0.05)) properties["userId"] = random.pick(["guest", "somebody"]);
    if (random.chance(0.05)) properties["CC"] = [random.pick(this.#queues)];
    return {
      do: "publish",
      exchange: isToQueue ? "" : this.#exchange(),
      key: isToQueue ? this.#queue() : random.pick(KEYS),
      body: random.chance(0.05) ? "" : this.#body(),
      mandatory: random.chance(0.3),
      properties,
    };
  }

  #settle(): Operation {
    const random = this.#random;
    return {
      do: "settle",
      which: random.below(4),
      how: random.pick(["ack", "ack", "nack", "reject"]),
      isMultiple: random.chance(0.3),
      requeue: random.chance(0.7),
    };
  }
}
