// Events and commands: what a message says, the shape of its payload, and where it goes.

import { assertName } from "../broker/names.js";
import { assertPublishable, parseSubject } from "../broker/subject.js";
import { BrokerError } from "../broker-error.js";
import { type Codec, isCodec, json } from "./codec.js";
import { invalidOption, knownOptions } from "./option-checks.js";
import { assertSchema, type Schema } from "./schema.js";

/**
 * What an event and a command have in common. `In` is what is sent, `Out` what a handler gets, `Reply` what it replies
 * with, `Answer` what that is for whoever asked.
 */
export interface MessageType<In, Out, Reply = unknown, Answer = unknown> {
  /** Its subject, such as `order.placed`. */
  readonly name: string;
  readonly schema: Schema<In, Out> | undefined;
  /** Of what handlers reply with. */
  readonly reply: Schema<Reply, Answer> | undefined;
  readonly codec: Codec<unknown>;
  readonly replyCodec: Codec<unknown>;
  readonly key: ((value: In) => string) | undefined;
  /** Only for the type system: never there at run time. */
  readonly types?: {
    readonly input: In;
    readonly output: Out;
    readonly reply: Reply;
    readonly answer: Answer;
  };
}

/** Says what happened. Made with {@link event}; every group that is subscribed gets it. */
export interface EventType<In = unknown, Out = In, Reply = unknown, Answer = Reply>
  extends MessageType<In, Out, Reply, Answer> {
  readonly kind: "event";
  readonly topic: string;
}

/** Asks one receiver to do something. Made with {@link command}; exactly one handler gets it. */
export interface CommandType<In = unknown, Out = In, Reply = unknown, Answer = Reply>
  extends MessageType<In, Out, Reply, Answer> {
  readonly kind: "command";
  readonly queue: string;
}

interface TypeOptions<In, Out, Reply, Answer> {
  /** Checks payloads when they are sent and when they are received, and gives them their types. */
  readonly schema?: Schema<In, Out>;
  /** Checks what handlers reply with, on both ends, and gives `request` and `gather` the type of their answers. */
  readonly reply?: Schema<Reply, Answer>;
  /** How payloads become bytes. @default json */
  readonly codec?: Codec<NoInfer<In>, unknown>;
  /** How replies become bytes. @default that of payloads */
  readonly replyCodec?: Codec<NoInfer<Reply>, unknown>;
  /** Makes a payload's key, of up to 4,096 characters. Messages with equal keys keep their order. @default no key */
  readonly key?: (value: NoInfer<In>) => string;
}

export interface EventOptions<In, Out, Reply = unknown, Answer = Reply>
  extends TypeOptions<In, Out, Reply, Answer> {
  /** The topic that keeps it. @default the first level of the event's name, so that `order.placed` and `order.paid` share `order` */
  readonly topic?: string;
}

export interface CommandOptions<In, Out, Reply = unknown, Answer = Reply>
  extends TypeOptions<In, Out, Reply, Answer> {
  /** The queue that keeps it. @default the command's name */
  readonly queue?: string;
}

/** Without a schema, the codec gives the payload its types. */
interface TypedByCodec<In, Out> {
  readonly codec: Codec<In, Out>;
  readonly schema?: undefined;
}

/**
 * Declares an event. The name is its subject: levels joined by dots.
 *
 * @example
 * const OrderPlaced = event("order.placed", { schema: z.object({ id: z.string() }), key: (order) => order.id });
 *
 * Errors: INVALID_SUBJECT, INVALID_NAME, INVALID_SCHEMA, INVALID_OPTION.
 */
export function event<In, Out, Reply = unknown, Answer = Reply>(
  name: string,
  options: EventOptions<In, Out, Reply, Answer> & TypedByCodec<In, Out>,
): EventType<In, Out, Reply, Answer>;
export function event<In = unknown, Out = In, Reply = unknown, Answer = Reply>(
  name: string,
  options?: EventOptions<In, Out, Reply, Answer>,
): EventType<In, Out, Reply, Answer>;
export function event<In, Out, Reply, Answer>(
  name: string,
  options: EventOptions<In, Out, Reply, Answer> = {},
): EventType<In, Out, Reply, Answer> {
  assertType(name, knownOptions(`event ${name}`, options, [...TYPE_OPTIONS, "topic"]));
  const topic = options.topic ?? parseSubject(name)[0]!;
  assertName("topic", topic);
  return Object.freeze({
    kind: "event",
    name,
    topic,
    schema: options.schema,
    reply: options.reply,
    codec: (options.codec ?? json) as Codec<unknown>,
    replyCodec: (options.replyCodec ?? options.codec ?? json) as Codec<unknown>,
    key: options.key,
  });
}

/**
 * Declares a command. The name is its subject and, unless said otherwise, its queue.
 *
 * @example
 * const ReserveStock = command<{ sku: string; count: number }>("stock.reserve");
 *
 * Errors: INVALID_SUBJECT, INVALID_NAME, INVALID_SCHEMA, INVALID_OPTION.
 */
export function command<In, Out, Reply = unknown, Answer = Reply>(
  name: string,
  options: CommandOptions<In, Out, Reply, Answer> & TypedByCodec<In, Out>,
): CommandType<In, Out, Reply, Answer>;
export function command<In = unknown, Out = In, Reply = unknown, Answer = Reply>(
  name: string,
  options?: CommandOptions<In, Out, Reply, Answer>,
): CommandType<In, Out, Reply, Answer>;
export function command<In, Out, Reply, Answer>(
  name: string,
  options: CommandOptions<In, Out, Reply, Answer> = {},
): CommandType<In, Out, Reply, Answer> {
  assertType(name, knownOptions(`command ${name}`, options, [...TYPE_OPTIONS, "queue"]));
  const queue = options.queue ?? name;
  assertName("queue", queue);
  return Object.freeze({
    kind: "command",
    name,
    queue,
    schema: options.schema,
    reply: options.reply,
    codec: (options.codec ?? json) as Codec<unknown>,
    replyCodec: (options.replyCodec ?? options.codec ?? json) as Codec<unknown>,
    key: options.key,
  });
}

const TYPE_OPTIONS = ["schema", "codec", "key", "reply", "replyCodec"];

interface UncheckedOptions {
  readonly schema?: unknown;
  readonly reply?: unknown;
  readonly key?: unknown;
  readonly codec?: unknown;
  readonly replyCodec?: unknown;
}

function assertType(name: string, options: UncheckedOptions): void {
  assertPublishable(name);
  const { schema, key, codec, reply, replyCodec } = options;
  if (schema !== undefined) assertSchema(name, schema);
  if (reply !== undefined) assertSchema(`the reply to ${name}`, reply);
  if (key !== undefined && typeof key !== "function")
    throw invalidOption(`key of ${name}`, key, "a function from the payload to its key");
  for (const [option, given] of Object.entries({ codec, replyCodec }))
    if (!isCodec(given ?? json))
      throw invalidOption(`${option} of ${name}`, given, "json, text, bytes, or another codec");
}

/** Errors: INVALID_OPTION, for callers without types: something else than an event or command was handed in. */
export function assertKind(wanted: "event", type: unknown, verb: string): asserts type is EventType;
export function assertKind(wanted: "command", type: unknown, verb: string): asserts type is CommandType;
export function assertKind(wanted: "event" | "command", type: unknown, verb: string): void {
  const kind: unknown = (type as { kind?: unknown } | null | undefined)?.kind;
  if (kind === wanted) return;
  const remedies: Record<string, string> = {
    event: "publish events with publish and handle them with on",
    command: "send commands with send and handle them with handle",
  };
  const other = remedies[String(kind)] ?? `make one with ${wanted}()`;
  throw new BrokerError(
    "INVALID_OPTION",
    `${verb} takes ${wanted === "event" ? "an event" : "a command"}; ${other}.`,
    { wanted, got: String(kind) },
  );
}
