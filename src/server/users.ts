// Who may connect: proving it, and what becomes of those who are connected when the list of users changes.

import type { KeyObject } from "node:crypto";
import { isBrokerError } from "../broker-error.js";
import { invalidOption, knownOptions, shown } from "../bus/option-checks.js";
import type { Random } from "../io/io.js";
import type { Access, Credentials } from "../network/host.js";
import { hasSigned, parseUserKey } from "./nkey.js";
import { PasswordCheck } from "./password-check.js";
import { type PasswordHash, parsePasswordHash, unmatchedHash } from "./password-hash.js";
import { Permissions, UserAccess } from "./permissions.js";
import type { PermissionOptions, UserOptions } from "./user-options.js";

const ANONYMOUS = "anonymous";
const USER_OPTIONS = ["name", "password", "token", "nkey", "certificate", "permissions"];
const PERMISSION_OPTIONS = ["publish", "subscribe", "configure", "read", "write"] as const;
const EVERYTHING = undefined;

interface User {
  readonly options: UserOptions;
  /** Goes on from the list before where whoever has it may. */
  readonly access: UserAccess;
  readonly permissions: Permissions | undefined;
  readonly password: PasswordHash | undefined;
  readonly token: PasswordHash | undefined;
  readonly nkey: KeyObject | undefined;
}

/** What {@link Users.authenticate} found. `busy` is a refusal too: more were being checked than can be. */
export interface Proved {
  readonly access: UserAccess | undefined;
  readonly isBusy: boolean;
}

/** Users that were read, and found to be right. */
export interface UserList {
  readonly users: ReadonlyMap<string, User>;
  readonly anonymous: string | undefined;
}

export class Users {
  readonly #check: PasswordCheck;
  #users: ReadonlyMap<string, User> = new Map();
  #anonymous: UserAccess | undefined = new UserAccess(ANONYMOUS, EVERYTHING, true);

  /** Nobody has to prove anything until there are users. */
  constructor(random: Random) {
    this.#check = new PasswordCheck(random);
  }

  get areNone(): boolean {
    return this.#users.size === 0;
  }

  /** What those may do who name no user. */
  get anonymous(): Access | undefined {
    return this.#anonymous;
  }

  /** Reads a list that is to take the place of that which there is. Errors: INVALID_OPTION. */
  read(given: readonly UserOptions[] = [], anonymous?: string): UserList {
    const users = new Map<string, User>();
    for (const options of given) {
      const user = readUser(options, this.#users.get(options?.name));
      if (users.has(options.name)) throw invalidOption("name of a user", options.name, "each name once");
      users.set(options.name, user);
    }
    if (anonymous !== undefined && !users.has(anonymous))
      throw invalidOption("anonymous", anonymous, "the name of one of the users");
    return { users, anonymous };
  }

  /** Permissions hold at once; {@link reasonToEnd} says who must not go on. */
  use({ users, anonymous }: UserList): void {
    for (const { access, permissions } of users.values()) access.permissions = permissions;
    if (anonymous !== undefined) this.#anonymous = users.get(anonymous)?.access;
    else if (users.size > 0) this.#anonymous = undefined;
    else if (this.#anonymous?.isOpen !== true) this.#anonymous = new UserAccess(ANONYMOUS, EVERYTHING, true);
    this.#users = users;
  }

  /** Why a connection with this access must not go on; undefined when it may. */
  reasonToEnd(access: Access | undefined): string | undefined {
    if (access === undefined || access === this.#anonymous) return undefined;
    const isOpen = access instanceof UserAccess && access.isOpen;
    if (isOpen) return this.areNone ? undefined : "users have to prove who they are from now on";
    const user = this.#users.get(access.user);
    if (user === undefined) return `the user ${access.user} is no more`;
    return user.access === access ? undefined : `the user ${access.user} was changed`;
  }

  async authenticate(credentials: Credentials): Promise<Proved> {
    if (this.areNone) return found(new UserAccess(claimedName(credentials), EVERYTHING, true));
    switch (credentials.kind) {
      case "password":
        return await this.#byPassword(credentials.user, credentials.password);
      case "token":
        return await this.#byToken(credentials.token);
      case "nkey": {
        const { publicKey, nonce, signature } = credentials;
        const user = this.#find(({ options }) => options.nkey === publicKey);
        return found(user?.nkey && hasSigned(user.nkey, nonce, signature) ? user.access : undefined);
      }
      case "certificate":
        return found(this.#find(({ options }) => options.certificate === credentials.name)?.access);
    }
  }

  async #byPassword(name: string, password: string): Promise<Proved> {
    const user = this.#users.get(name);
    const hash = user?.password ?? unmatchedHash(this.#usualCost);
    const checked = await this.#check.check(name, password, hash);
    return this.#proved(checked === "right" ? user : undefined, checked === "busy");
  }

  /** Every token is tried, so that it takes as long whosever it is. */
  async #byToken(token: string): Promise<Proved> {
    const holders = [...this.#users.values()].filter((user) => user.token !== undefined);
    const hashes = holders.length > 0 ? holders.map((user) => user.token!) : [unmatchedHash(this.#usualCost)];
    const results = await Promise.all(hashes.map((hash) => this.#check.check("", token, hash)));
    return this.#proved(holders[results.indexOf("right")], results.includes("busy"));
  }

  /** The list may have changed while the password was checked. */
  #proved(user: User | undefined, isBusy: boolean): Proved {
    if (user === undefined) return { access: undefined, isBusy };
    return found(this.#users.get(user.options.name)?.access === user.access ? user.access : undefined);
  }

  #find(isIt: (user: User) => boolean): User | undefined {
    for (const user of this.#users.values()) if (isIt(user)) return user;
    return undefined;
  }

  /** What a hash costs here, so that a user who is not there costs the same. */
  get #usualCost(): PasswordHash["cost"] | undefined {
    return this.#find(({ password }) => password !== undefined)?.password?.cost;
  }
}

function found(access: UserAccess | undefined): Proved {
  return { access, isBusy: false };
}

function claimedName(credentials: Credentials): string {
  if (credentials.kind === "password") return credentials.user;
  return credentials.kind === "certificate" ? credentials.name : ANONYMOUS;
}

/** Keeps the access of `before` when whoever has it may go on with what it becomes. Errors: INVALID_OPTION. */
function readUser(given: UserOptions, before: User | undefined): User {
  const options = knownOptions("a user", given, USER_OPTIONS);
  const { name } = options;
  if (typeof name !== "string" || name === "")
    throw invalidOption("name of a user", name, "a text that is not empty");
  const permissions = permissionsOf(options);
  const goesOn =
    before !== undefined && sameProofs(before.options, options) && !isLess(before.options, options);
  return {
    options,
    permissions,
    access: goesOn ? before.access : new UserAccess(name, permissions),
    password: hashOf(name, "password", options.password),
    token: hashOf(name, "token", options.token),
    nkey: keyOf(name, options.nkey),
  };
}

function sameProofs(before: UserOptions, after: UserOptions): boolean {
  return (["password", "token", "nkey", "certificate"] as const).every(
    (proof) => before[proof] === after[proof],
  );
}

/** Whether something may not be done any more. */
function isLess({ permissions: before }: UserOptions, { permissions: after }: UserOptions): boolean {
  if (after === undefined) return false;
  if (before === undefined) return true;
  return PERMISSION_OPTIONS.some((list) =>
    (before[list] ?? []).some((pattern) => !(after[list] ?? []).includes(pattern)),
  );
}

function permissionsOf({ name, permissions }: UserOptions): Permissions | undefined {
  if (permissions === undefined) return EVERYTHING;
  const known: PermissionOptions = knownOptions(`permissions of ${name}`, permissions, PERMISSION_OPTIONS);
  for (const list of PERMISSION_OPTIONS) {
    const patterns: unknown = known[list] ?? [];
    if (!Array.isArray(patterns) || !patterns.every((pattern) => typeof pattern === "string"))
      throw invalidOption(`${list} of the user ${name}`, patterns, "a list of patterns");
  }
  try {
    return new Permissions(known);
  } catch (error) {
    if (isBrokerError(error))
      throw invalidOption(`permissions of the user ${name}`, permissions, error.message);
    throw error;
  }
}

function hashOf(name: string, what: "password" | "token", text: unknown): PasswordHash | undefined {
  if (text === undefined) return undefined;
  const hash = typeof text === "string" ? parsePasswordHash(text) : undefined;
  // What was given may be the password itself: it is not repeated.
  if (hash === undefined)
    throw invalidOption(
      `${what} of the user ${name}`,
      "no hash",
      "what `omnibus hash-password` prints, which begins with $scrypt$",
    );
  return hash;
}

function keyOf(name: string, text: unknown): KeyObject | undefined {
  if (text === undefined) return undefined;
  const key = typeof text === "string" ? parseUserKey(text) : undefined;
  if (key === undefined)
    throw invalidOption(
      `nkey of the user ${name}`,
      shown(text),
      "the public key of a user, 56 characters from U on",
    );
  return key;
}
