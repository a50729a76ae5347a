// What the server is to its protocols.

import type { Broker } from "../broker/broker.js";
import type { Clock, Random } from "../io/io.js";
import type {
  Access,
  ConnectionLimits,
  Credentials,
  Peer,
  ProtocolHost,
  ServerLog,
} from "../network/host.js";
import type { Connections } from "./connections.js";
import type { LimitedLog } from "./limited-log.js";
import type { Meters } from "./meters.js";
import type { Users } from "./users.js";

export interface HostParts {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  /** Whatever clients do makes so many lines and no more. */
  readonly limitedLog: LimitedLog;
  readonly users: Users;
  readonly connections: Connections;
  readonly meters: Meters;
  readonly limits: ConnectionLimits;
}

export class ServedHost implements ProtocolHost {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: ServerLog;
  /** Replaced when they are reloaded. */
  limits: ConnectionLimits;
  readonly #users: Users;
  readonly #connections: Connections;
  readonly #meters: Meters;

  constructor(parts: HostParts) {
    this.broker = parts.broker;
    this.clock = parts.clock;
    this.random = parts.random;
    this.log = parts.limitedLog;
    this.limits = parts.limits;
    this.#users = parts.users;
    this.#connections = parts.connections;
    this.#meters = parts.meters;
  }

  get anonymous(): Access | undefined {
    return this.#users.anonymous;
  }

  async authenticate(credentials: Credentials, peer: Peer): Promise<Access | undefined> {
    const { access, isBusy } = await this.#users.authenticate(credentials);
    // The users may have been replaced since.
    if (access !== undefined && this.#users.reasonToEnd(access) === undefined) {
      this.#meters.authenticated.add("accepted");
      this.#connections.belongsTo(peer.id, access);
      return access;
    }
    const { kind } = credentials;
    const user = kind === "password" ? credentials.user : undefined;
    const fields = { peer: peer.address, listener: peer.localAddress, kind, user };
    this.#meters.authenticated.add(isBusy ? "busy" : "refused");
    if (isBusy) this.log.warn(fields, "a client was refused, because too many prove who they are at once");
    else this.log.warn(fields, "a client could not prove who it is");
    return undefined;
  }
}
