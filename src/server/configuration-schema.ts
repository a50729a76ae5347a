// What may stand in omnibus.yaml: its keys, what each may be, and what it is without being given.

import * as v from "valibot";
import { parsePattern } from "../broker/subject.js";
import type { Durability } from "../log/log.js";
import { LIMIT_BOUNDS, LIMIT_DEFAULTS } from "./limits.js";
import { LOG_LEVELS } from "./log.js";
import { nearestName } from "./near-names.js";
import { parseUserKey } from "./nkey.js";
import { parsePasswordHash } from "./password-hash.js";
import { CLIENT_CERTIFICATES } from "./server-options.js";

const SECOND_MS = 1_000;
const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: 60 * SECOND_MS,
  h: 3_600 * SECOND_MS,
  d: 86_400 * SECOND_MS,
};
const SIZE_BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const PORT_MAX = 65_535;
/** How the message about a key begins that there is not. */
export const UNKNOWN_KEY = "there is no such key";

/** Where a listener is to listen. */
export type AddressSetting = "off" | { readonly host: string | undefined; readonly port: number };

/** A mapping with these keys and no other. */
function mapping<const E extends v.ObjectEntries>(entries: E) {
  const names = Object.keys(entries);
  return v.strictObject(entries, ({ expected, path }) => {
    const key = String(path?.at(-1)?.key);
    if (expected === "never") return `${UNKNOWN_KEY}${guess(key, names)}. There are ${names.join(", ")}`;
    const missing = entries[key];
    const [issue] =
      missing === undefined ? [] : (v.safeParse(missing as typeof truth, undefined).issues ?? []);
    return issue?.message ?? `give a mapping with ${names.join(", ")}`;
  });
}

function guess(key: string, names: readonly string[]): string {
  const near = nearestName(key, names);
  return near === undefined ? "" : `; perhaps ${near} is meant`;
}

/** One value. `read` gives undefined for what it may not be, and `wanted` says what it may. */
function value<T>(wanted: string, read: (input: unknown) => T | undefined) {
  return v.pipe(
    v.unknown(),
    v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
      const result = read(dataset.value);
      if (result !== undefined) return result;
      addIssue({ message: `give ${wanted}` });
      return NEVER;
    }),
  );
}

const truth = value("true or false", (input) => (typeof input === "boolean" ? input : undefined));

function oneOf<const T extends string>(...words: readonly T[]) {
  return value(words.join(", ").replace(/, (?=[^,]*$)/, " or "), (input) =>
    words.find((word) => word === input),
  );
}

function text(wanted: string) {
  return value(wanted, (input) => (typeof input === "string" && input !== "" ? input : undefined));
}

function patterns(wanted: string) {
  return v.optional(v.array(text(wanted), `give a list of ${wanted}`));
}

function withUnit(input: unknown, units: Readonly<Record<string, number>>): number {
  if (typeof input === "number") return input;
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(String(input)) ?? [];
  if (digits === "" && /^\d+$/.test(String(input))) return Number(input);
  return digits === "" ? Number.NaN : Math.round(Number(digits) * (units[unit] ?? Number.NaN));
}

function between(number: number, [min, max]: readonly [number, number]): number | undefined {
  return Number.isSafeInteger(number) && number >= min && number <= max ? number : undefined;
}

function count(name: "connectionsMax" | "channelsMax" | "subscriptionsMax") {
  const [min, max] = LIMIT_BOUNDS[name];
  const wanted = `a whole number from ${min} to ${max}`;
  return v.optional(
    value(wanted, (input) => between(withUnit(input, {}), LIMIT_BOUNDS[name])),
    LIMIT_DEFAULTS[name],
  );
}

function size(name: "messageBytesMax" | "pendingBytesMax") {
  const [min, max] = LIMIT_BOUNDS[name];
  const wanted = `a size such as 16MiB, from ${min} to ${max} bytes`;
  const read = (input: unknown) => between(withUnit(input, SIZE_BYTES), LIMIT_BOUNDS[name]);
  return v.optional(value(wanted, read), LIMIT_DEFAULTS[name]);
}

function duration([min, max]: readonly [number, number], byDefault: number) {
  const wanted = `a duration such as 250ms, 30s or 5m, from ${min / SECOND_MS} to ${max / SECOND_MS} seconds`;
  return v.optional(
    value(wanted, (input) => between(withUnit(input, DURATION_MS), [min, max])),
    byDefault,
  );
}

function limitDuration(name: "handshakeMs" | "idleMs" | "stallMs") {
  return duration(LIMIT_BOUNDS[name], LIMIT_DEFAULTS[name]);
}

const ADDRESS_WANTED = "HOST:PORT such as 127.0.0.1:5672 or [::1]:5672, a port alone, or off";

function readAddress(input: unknown): AddressSetting | undefined {
  if (input === "off") return "off";
  const [, bracketed, host, digits = ""] =
    /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):)?(\d{1,5})$/.exec(String(input)) ?? [];
  const port = Number(digits);
  return digits === "" || port > PORT_MAX ? undefined : { host: bracketed ?? host, port };
}

const address = value(ADDRESS_WANTED, readAddress);

/** A listener is its address, or a mapping with more. */
function listener<const E extends v.ObjectEntries>(more: E) {
  const whole = mapping({ address: v.optional(address), tls: v.optional(truth), ...more });
  const short = v.pipe(
    address,
    v.transform((given) => ({ address: given })),
  );
  return v.optional(
    v.lazy((input) =>
      typeof input === "object" && input !== null ? whole : (short as unknown as typeof whole),
    ),
  );
}

const HASH_WANTED = "what `omnibus hash-password` prints; the password itself never stands here";
const hash = value(HASH_WANTED, (input) =>
  typeof input === "string" && parsePasswordHash(input) !== undefined ? input : undefined,
);

const subjects = v.optional(
  v.array(
    value(
      "a pattern of subjects such as order.#, where * is one level and > at the end one or more",
      (input) => (typeof input === "string" && isPattern(input) ? input : undefined),
    ),
    "give a list of patterns of subjects",
  ),
);

function isPattern(text: string): boolean {
  try {
    parsePattern(text);
    return true;
  } catch {
    return false;
  }
}

const NAMES = "names of queues and exchanges, where * stands for any characters";

const user = mapping({
  name: text("a name"),
  password: v.optional(hash),
  token: v.optional(hash),
  nkey: v.optional(
    value("the public key of a user, 56 characters from U on", (input) =>
      typeof input === "string" && parseUserKey(input) !== undefined ? input : undefined,
    ),
  ),
  certificate: v.optional(text("the common name of a certificate")),
  permissions: v.optional(
    mapping({
      publish: subjects,
      subscribe: subjects,
      configure: patterns(NAMES),
      read: patterns(NAMES),
      write: patterns(NAMES),
    }),
  ),
});

const DURABILITIES: readonly Durability[] = ["synced", "written", "memory"];
const LOG_FORMATS = ["auto", "json", "text"] as const;
const SHUTDOWN_BOUNDS = [0, 3_600 * SECOND_MS] as const;
const SHUTDOWN_WAIT_MS = 10 * SECOND_MS;

/** The whole file. */
export const CONFIGURATION = mapping({
  data: v.optional(text("the path of the data directory"), "./omnibus-data"),
  durability: v.optional(oneOf(...DURABILITIES), "synced"),
  listen: v.optional(
    mapping({
      amqp: listener({}),
      nats: listener({}),
      natsWebSocket: listener({
        origins: v.optional(
          v.array(text("origins such as https://shop.example, or *"), "give a list of origins"),
        ),
      }),
      http: listener({}),
    }),
    {},
  ),
  tls: v.optional(
    mapping({
      certificate: text("the path of a PEM file"),
      key: text("the path of a PEM file"),
      authorities: v.optional(text("the path of a PEM file")),
      clientCertificates: v.optional(oneOf(...CLIENT_CERTIFICATES), "none"),
    }),
  ),
  users: v.optional(v.array(user, "give a list of users"), []),
  anonymous: v.optional(text("the name of one of the users")),
  limits: v.optional(
    mapping({
      connectionsMax: count("connectionsMax"),
      handshake: limitDuration("handshakeMs"),
      idle: limitDuration("idleMs"),
      messageBytesMax: size("messageBytesMax"),
      channelsMax: count("channelsMax"),
      subscriptionsMax: count("subscriptionsMax"),
      pendingBytesMax: size("pendingBytesMax"),
      stall: limitDuration("stallMs"),
    }),
    {},
  ),
  log: v.optional(
    mapping({
      level: v.optional(oneOf(...LOG_LEVELS), "info"),
      format: v.optional(oneOf(...LOG_FORMATS), "auto"),
    }),
    {},
  ),
  shutdown: v.optional(mapping({ wait: duration(SHUTDOWN_BOUNDS, SHUTDOWN_WAIT_MS) }), {}),
});

/** What {@link CONFIGURATION} makes of a file. */
export type Settings = v.InferOutput<typeof CONFIGURATION>;
