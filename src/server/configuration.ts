// What `omnibus serve` runs with: flags before the environment, that before the file, that before the defaults. Whatever
// is wrong is said with where it stands, what it is, and what it may be.

import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { BrokerError, type ErrorContext } from "../broker-error.js";
import { shown } from "../bus/option-checks.js";
import type { Files } from "../io/io.js";
import type { Durability } from "../log/log.js";
import type { ConnectionLimits } from "../network/host.js";
import { ConfigurationFile, type ValuePath } from "./configuration-file.js";
import { type AddressSetting, CONFIGURATION, type Settings, UNKNOWN_KEY } from "./configuration-schema.js";
import type {
  ListenerName,
  ReloadableOptions,
  ServerOptions,
  TlsOptions,
  WebSocketListenerOptions,
} from "./server-options.js";
import type { UserOptions } from "./user-options.js";

/** Looked for in the current folder when no file is named. */
const FILE_DEFAULT = "omnibus.yaml";
const FILE_VARIABLE = "OMNIBUS_CONFIG";

/** What can be given without a file as well. */
export const OVERRIDES = [
  { key: "data", flag: "--data", variable: "OMNIBUS_DATA" },
  { key: "durability", flag: "--durability", variable: "OMNIBUS_DURABILITY" },
  { key: "listen.amqp", flag: "--amqp", variable: "OMNIBUS_AMQP" },
  { key: "listen.nats", flag: "--nats", variable: "OMNIBUS_NATS" },
  { key: "listen.natsWebSocket", flag: "--nats-websocket", variable: "OMNIBUS_NATS_WEBSOCKET" },
  { key: "listen.http", flag: "--http", variable: "OMNIBUS_HTTP" },
  { key: "log.level", flag: "--log-level", variable: "OMNIBUS_LOG_LEVEL" },
  { key: "log.format", flag: "--log-format", variable: "OMNIBUS_LOG_FORMAT" },
] as const;

export type OverrideKey = (typeof OVERRIDES)[number]["key"];

/** Where a configuration comes from. */
export interface ConfigurationSources {
  readonly files: Files;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The file that was named on the command line. */
  readonly file: string | undefined;
  /** What was given on the command line. */
  readonly flags: Readonly<Partial<Record<OverrideKey, string>>>;
}

export interface Configuration {
  /** Undefined when there was none. */
  readonly file: string | undefined;
  readonly data: string;
  readonly durability: Durability;
  /** What {@link ReloadableOptions} has not. */
  readonly listeners: Pick<ServerOptions, ListenerName>;
  readonly reloadable: ReloadableOptions;
  readonly log: Settings["log"];
  readonly shutdownWaitMs: number;
}

/** Errors: INVALID_CONFIGURATION. */
export async function readConfiguration(sources: ConfigurationSources): Promise<Configuration> {
  const file = await readFile(sources);
  const given = new Given(file);
  given.override(sources);
  const parsed = v.safeParse(CONFIGURATION, given.content);
  if (!parsed.success) throw given.fault(parsed.issues);
  const settings = parsed.output;
  assertUsersFit(settings, given);
  return {
    file: file?.path,
    data: given.pathAt(["data"], settings.data),
    durability: settings.durability,
    listeners: listenersOf(settings),
    reloadable: {
      users: settings.users as UserOptions[],
      ...(settings.anonymous === undefined ? {} : { anonymous: settings.anonymous }),
      limits: limitsOf(settings),
      ...(settings.tls === undefined ? {} : { tls: await tlsOf(settings.tls, given, sources.files) }),
    },
    log: settings.log,
    shutdownWaitMs: settings.shutdown.wait,
  };
}

async function readFile({
  files,
  file,
  environment,
}: ConfigurationSources): Promise<ConfigurationFile | undefined> {
  const named = file ?? (environment[FILE_VARIABLE] || undefined);
  const path = named ?? FILE_DEFAULT;
  if (named === undefined && !(await files.exists(path))) return undefined;
  return new ConfigurationFile(path, await readText(files, path, path));
}

/** `where` names the setting. */
async function readText(files: Files, path: string, where: string): Promise<string> {
  try {
    return (await files.readFile(path)).toString("utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : message;
    const problem =
      where === path ? `${path} cannot be read: ${why}.` : `${where}: ${path} cannot be read: ${why}.`;
    throw invalid(problem, { file: path }, error);
  }
}

/** What no value says by itself. Errors: INVALID_CONFIGURATION. */
function assertUsersFit({ users, anonymous, tls }: Settings, given: Given): void {
  const names = users.map(({ name }) => name);
  const again = names.findIndex((name, index) => names.indexOf(name) !== index);
  if (again >= 0)
    throw given.faultAt(
      ["users", again, "name"],
      ` is ${shown(names[again])} once more; give each name once`,
    );
  if (anonymous !== undefined && !names.includes(anonymous))
    throw given.faultAt(["anonymous"], ` is ${shown(anonymous)}; give the name of one of the users`);
  if (tls !== undefined && tls.clientCertificates !== "none" && tls.authorities === undefined)
    throw given.faultAt(
      ["tls", "clientCertificates"],
      " needs tls.authorities; give the path of a PEM file there",
    );
}

type Mapping = Record<string, unknown>;

/** What was given, and by whom. */
class Given {
  readonly content: unknown;
  readonly #file: ConfigurationFile | undefined;
  /** What did not come from the file: the path, and the flag or the variable. */
  readonly #others = new Map<string, string>();

  constructor(file: ConfigurationFile | undefined) {
    this.#file = file;
    this.content = file?.content ?? {};
  }

  override({ environment, flags }: ConfigurationSources): void {
    for (const { key, flag, variable } of OVERRIDES) {
      const fromEnvironment = environment[variable] || undefined;
      const text = flags[key] ?? fromEnvironment;
      if (text !== undefined) this.#set(key.split("."), text, flags[key] === undefined ? variable : flag);
    }
  }

  /** A path of the file is meant from where the file is. */
  pathAt(path: ValuePath, text: string): string {
    if (this.#file === undefined || this.#others.has(path.join(".")) || !hasValue(this.content, path))
      return text;
    return resolve(dirname(this.#file.path), text);
  }

  /** The first that is wrong; a misspelt key before the one that is missing for it. */
  fault(issues: readonly v.BaseIssue<unknown>[]): BrokerError {
    const { path = [], message, input } = issues.find(isUnknownKey) ?? issues[0]!;
    const steps = path.map(({ key }) => key as string | number);
    if (isUnknownKey({ message })) return this.faultAt(steps, `: ${message}`);
    if (input === undefined) return this.faultAt(steps, ` is missing; ${message}`);
    return this.faultAt(
      steps,
      isSecret(steps) ? ` is something else; ${message}` : ` is ${shown(input)}; ${message}`,
    );
  }

  faultAt(path: ValuePath, problem: string): BrokerError {
    const line = this.#file?.lineOf(path);
    return invalid(`${this.placeOf(path)}${problem}.`, { file: this.#file?.path, line, key: pathText(path) });
  }

  /** The flag, the variable, or the file with the line and the key. */
  placeOf(path: ValuePath): string {
    const by = this.#others.get(path.join("."));
    if (by !== undefined) return by;
    return this.#file === undefined
      ? pathText(path)
      : `${this.#file.path}:${this.#file.lineOf(path)}: ${pathText(path)}`;
  }

  #set(path: readonly string[], text: string, by: string): void {
    let at = this.content;
    for (const step of path.slice(0, -1)) {
      if (!isMapping(at)) return;
      at[step] ??= {};
      at = at[step];
    }
    const last = path.at(-1)!;
    if (!isMapping(at)) return;
    // Of a listener that has more in the file than its address, the address alone is meant.
    const before = at[last];
    if (isMapping(before)) before["address"] = text;
    else at[last] = text;
    this.#others.set(path.join("."), by);
  }
}

function invalid(message: string, context: ErrorContext, cause?: unknown): BrokerError {
  return new BrokerError("INVALID_CONFIGURATION", message, context, cause);
}

function isUnknownKey({ message }: { readonly message: string }): boolean {
  return message.startsWith(UNKNOWN_KEY);
}

function hasValue(content: unknown, path: ValuePath): boolean {
  let at = content;
  for (const step of path) at = isMapping(at) ? at[step] : undefined;
  return at !== undefined;
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `users[2].name` */
function pathText(path: ValuePath): string {
  const text = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("");
  return text.replace(/^\./, "") || "the whole file";
}

/** Somebody may have written the password itself. */
function isSecret(path: ValuePath): boolean {
  return path[0] === "users" && (path.includes("password") || path.includes("token"));
}

function listenersOf({ listen }: Settings): Pick<ServerOptions, ListenerName> {
  const names: readonly ListenerName[] = ["amqp", "nats", "natsWebSocket", "http"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const given = listen[name];
      return given === undefined ? [] : [[name, listenerOf(given)]];
    }),
  );
}

function listenerOf(given: {
  readonly address?: AddressSetting | undefined;
  readonly tls?: boolean | undefined;
  readonly origins?: readonly string[] | undefined;
}): WebSocketListenerOptions | "off" {
  const { address, tls, origins } = given;
  if (address === "off") return "off";
  return {
    ...(address?.host === undefined ? {} : { host: address.host }),
    ...(address === undefined ? {} : { port: address.port }),
    ...(tls === undefined ? {} : { tls }),
    ...(origins === undefined ? {} : { origins }),
  };
}

function limitsOf({ limits }: Settings): ConnectionLimits {
  const { handshake, idle, stall, ...rest } = limits;
  return { ...rest, handshakeMs: handshake, idleMs: idle, stallMs: stall };
}

async function tlsOf(tls: NonNullable<Settings["tls"]>, given: Given, files: Files): Promise<TlsOptions> {
  const read = (key: "certificate" | "key" | "authorities"): Promise<string> =>
    readText(files, given.pathAt(["tls", key], tls[key] ?? ""), given.placeOf(["tls", key]));
  return {
    certificate: await read("certificate"),
    key: await read("key"),
    ...(tls.authorities === undefined ? {} : { authorities: await read("authorities") }),
    clientCertificates: tls.clientCertificates,
  };
}
