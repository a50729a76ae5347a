// What a protocol and the server that runs it know of each other: the server accepts sockets and knows users and limits,
// the protocol speaks on a socket that was accepted.

import type { Duplex } from "node:stream";
import type { Broker } from "../broker/broker.js";
import type { Clock, Random } from "../io/io.js";

/** What a server gives to each protocol. */
export interface ProtocolHost {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: ServerLog;
  /** As they are now: they may be reloaded, and hold for what begins after that. */
  readonly limits: ConnectionLimits;
  /** Who that is and what they may do; undefined when they cannot prove it. Never rejects. */
  authenticate(credentials: Credentials, peer: Peer): Promise<Access | undefined>;
  /** What those may do who name no user; undefined when everybody has to. */
  readonly anonymous: Access | undefined;
}

/** One way to talk to the broker. */
export interface Protocol {
  /** Lower case, as in metrics and the log. */
  readonly name: string;
  /** Begins without TLS where there is TLS, and changes to it with {@link Peer.startTls}. @default false */
  readonly startsPlain?: boolean;
  /** What is written to a client that finds no place any more, before it is sent away. @default nothing */
  readonly refusal?: string;
  /** Makes what has to be there before the first connection. Errors: those of storage. */
  open(): Promise<void>;
  /** Speaks on the socket from now on, and owns it. */
  accept(socket: Duplex, peer: Peer): ServedConnection;
  /** Takes back what {@link open} made of the broker. No connection is open any more. */
  close?(): Promise<void>;
  /** Counters and gauges of the protocol itself, for the metrics page. */
  measures(): Iterable<Measure>;
}

/** A connection that a protocol serves. */
export interface ServedConnection {
  /** Resolves when its socket is closed and everything that belonged to it is given back. Never rejects. */
  readonly closed: Promise<void>;
  /** What an operator sees of it. */
  describe(): ConnectionView;
  /** Takes nothing more, finishes what it was told, says goodbye as the protocol has it, and ends. */
  shutDown(): void;
  /** Ends now. `reason` goes to the log. */
  cut(reason: string): void;
}

export interface ConnectionView {
  readonly user: string | undefined;
  /** The name that the client gives itself. */
  readonly client: string | undefined;
  /** Bytes that wait for the client to read them. */
  readonly pendingBytes: number;
  /** Channels or subscriptions. */
  readonly subscriptions: number;
}

/** Who is at the other end. */
export interface Peer {
  /** Unique among the connections of this process. */
  readonly id: number;
  /** Such as `127.0.0.1:53122`. */
  readonly address: string;
  /** Where it arrived, such as `127.0.0.1:5672`. */
  readonly localAddress: string;
  readonly isEncrypted: boolean;
  /** The common name of the certificate that it proved; undefined when it has none. */
  readonly certificateName: string | undefined;
  /**
   * Changes to TLS on the same socket, for protocols that begin without; undefined when there is no TLS here, or it is on.
   * Nothing may have been read of what the client sends encrypted.
   */
  readonly startTls: ((socket: Duplex) => Promise<SecuredSocket>) | undefined;
}

export interface SecuredSocket {
  readonly socket: Duplex;
  readonly certificateName: string | undefined;
}

export type Credentials =
  | { readonly kind: "password"; readonly user: string; readonly password: string }
  | { readonly kind: "token"; readonly token: string }
  /** An Ed25519 key whose owner has signed `nonce`. `publicKey` is as the user's entry has it. */
  | {
      readonly kind: "nkey";
      readonly publicKey: string;
      readonly nonce: Uint8Array;
      readonly signature: Uint8Array;
    }
  /** The certificate of the TLS connection. */
  | { readonly kind: "certificate"; readonly name: string };

/**
 * What a user may do. Subjects, patterns and names are in the broker's canonical text. Of the bus itself, the exchange
 * without a name, {@link mayPublish} and {@link maySubscribe} are asked instead of the others. May be asked often: answers
 * are remembered, and change when permissions are reloaded.
 */
export interface Access {
  readonly user: string;
  mayPublish(subject: string): boolean;
  /** Whether everything that the pattern could match may be seen. */
  maySubscribe(pattern: string): boolean;
  /** Declare, change and delete. */
  mayConfigure(kind: "queue" | "exchange", name: string): boolean;
  /** Consume from, or bind something to it as a source. */
  mayRead(kind: "queue" | "exchange", name: string): boolean;
  /** Publish to, or bind it to something as a destination. */
  mayWrite(kind: "queue" | "exchange", name: string): boolean;
}

/** All times in milliseconds, all sizes in bytes. */
export interface ConnectionLimits {
  /** Over all listeners. @default 10,000 */
  readonly connectionsMax: number;
  /** Until a client has said who it is. @default 10,000 */
  readonly handshakeMs: number;
  /** Without a sign of life from the client, where the protocol has one. @default 60,000 */
  readonly idleMs: number;
  /** One message's body. @default 16 MiB; at most that of the broker, 64 MiB */
  readonly messageBytesMax: number;
  /** Channels of one connection. @default 2,047 */
  readonly channelsMax: number;
  /** Subscriptions or consumers of one connection. @default 100,000 */
  readonly subscriptionsMax: number;
  /** What may wait for one client to read it before it is held back, or cut where it cannot be. @default 64 MiB */
  readonly pendingBytesMax: number;
  /** How long a client may take nothing while something waits for it. @default 30,000 */
  readonly stallMs: number;
}

/** One line each: `text` says what happened, `fields` to whom. */
export interface ServerLog {
  debug(fields: LogFields, text: string): void;
  info(fields: LogFields, text: string): void;
  warn(fields: LogFields, text: string): void;
  error(fields: LogFields, text: string): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** One number for the metrics page. */
export interface Measure {
  /** Such as `omnibus_connections`; ends in `_total` when it is a counter. */
  readonly name: string;
  readonly help: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
