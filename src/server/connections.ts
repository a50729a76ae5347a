// The connections that are served: how many there may be, whose they are, and how they end.

import type { Duplex } from "node:stream";
import type { Access, Measure, Peer, Protocol, ServedConnection, ServerLog } from "../network/host.js";

/** A place among the connections, taken before anything is read from the socket. */
export interface Place {
  readonly id: number;
  readonly protocol: string;
}

class Entry implements Place {
  readonly id: number;
  readonly protocol: string;
  readonly socket: Duplex;
  peer: string | undefined;
  /** Undefined until the socket is ready to be spoken on. */
  served: ServedConnection | undefined;
  /** That of nobody in particular, until it has said who it is. */
  access: Access | undefined;

  constructor(id: number, protocol: string, socket: Duplex, anonymous: Access | undefined) {
    this.id = id;
    this.protocol = protocol;
    this.socket = socket;
    this.peer = undefined;
    this.served = undefined;
    this.access = anonymous;
  }
}

export class Connections {
  readonly #log: ServerLog;
  readonly #entries = new Map<number, Entry>();
  readonly #opened = new Map<string, number>();
  #nextId = 1;
  #whenEmpty: (() => void)[] = [];

  constructor(log: ServerLog) {
    this.#log = log;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Takes a place for a socket that has just been accepted, with what may be done without a name. */
  take({ name }: Protocol, socket: Duplex, anonymous: Access | undefined): Place {
    const entry = new Entry(this.#nextId, name, socket, anonymous);
    this.#nextId += 1;
    this.#entries.set(entry.id, entry);
    this.#opened.set(name, (this.#opened.get(name) ?? 0) + 1);
    return entry;
  }

  /** The socket was lost before it was served. */
  giveBack({ id }: Place): void {
    this.#entries.delete(id);
    if (this.#entries.size > 0) return;
    for (const resolve of this.#whenEmpty) resolve();
    this.#whenEmpty = [];
  }

  /** Hands the socket to the protocol, and takes note of its end. */
  serve(place: Place, protocol: Protocol, socket: Duplex, peer: Peer): void {
    const entry = this.#entries.get(place.id);
    if (entry === undefined) return void socket.destroy();
    entry.peer = peer.address;
    try {
      entry.served = protocol.accept(socket, peer);
    } catch (error) {
      this.#log.error(
        { protocol: protocol.name, peer: peer.address, error },
        "a connection was not accepted",
      );
      socket.destroy();
      this.giveBack(place);
      return;
    }
    this.#log.debug({ protocol: protocol.name, peer: peer.address, id: place.id }, "a connection was opened");
    void entry.served.closed.then(() => {
      this.#log.debug(
        { protocol: protocol.name, peer: peer.address, id: place.id },
        "a connection was closed",
      );
      this.giveBack(place);
    });
  }

  /** Somebody has proved who they are. */
  belongsTo(id: number, access: Access): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.access = access;
  }

  /** Ends those for which `reasonFor` has a reason. Returns how many they were. */
  cut(reasonFor: (access: Access | undefined) => string | undefined): number {
    let count = 0;
    for (const { protocol, peer, served, access } of [...this.#entries.values()]) {
      const reason = reasonFor(access);
      if (reason === undefined || served === undefined) continue;
      this.#log.info({ protocol, peer, user: access?.user, reason }, "a connection is cut");
      served.cut(reason);
      count += 1;
    }
    return count;
  }

  /** Asks each to finish; with those that are not served yet there is nothing to finish. */
  shutDown(): void {
    for (const { served, socket } of [...this.#entries.values()]) {
      if (served === undefined) socket.destroy();
      else served.shutDown();
    }
  }

  /** Resolves when there is none. */
  empty(): Promise<void> {
    if (this.#entries.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  *measures(): Generator<Measure> {
    const sums = new Map(
      [...this.#opened.keys()].map((name) => [name, { open: 0, pending: 0, subscriptions: 0 }]),
    );
    for (const { protocol, served } of this.#entries.values()) {
      const sum = sums.get(protocol)!;
      const view = served?.describe();
      sum.open += 1;
      sum.pending += view?.pendingBytes ?? 0;
      sum.subscriptions += view?.subscriptions ?? 0;
    }
    for (const [protocol, { open, pending, subscriptions }] of sums) {
      const labels = { protocol };
      yield { name: "omnibus_connections", help: "Connections that are open.", labels, value: open };
      yield {
        name: "omnibus_connections_opened_total",
        help: "Connections that were accepted.",
        labels,
        value: this.#opened.get(protocol) ?? 0,
      };
      yield {
        name: "omnibus_connections_pending_bytes",
        help: "Bytes that wait for clients to read them.",
        labels,
        value: pending,
      };
      yield {
        name: "omnibus_connections_subscriptions",
        help: "Channels or subscriptions of all connections.",
        labels,
        value: subscriptions,
      };
    }
  }
}
