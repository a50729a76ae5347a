// What a server is opened with: where it listens, who may come in, what each may use up, and what is left out.

import { invalidOption, knownOptions } from "../bus/option-checks.js";
import type { ConnectionLimits, ServerLog } from "../network/host.js";
import type { UserOptions } from "./user-options.js";

/** Where one protocol is spoken. */
export interface ListenerOptions {
  /** An address or a name of this machine. Beyond loopback only with {@link ServerOptions.users}. @default "127.0.0.1" */
  readonly host?: string;
  /** 0 takes a free one. @default the protocol's own */
  readonly port?: number;
  /** @default whether the server was given {@link ServerOptions.tls} */
  readonly tls?: boolean;
}

export interface WebSocketListenerOptions extends ListenerOptions {
  /**
   * Web pages whose scripts may connect, such as `https://shop.example`; `*` is any. What names no origin, as programs
   * outside of a browser do, may in any case. @default pages from this machine where it listens on loopback, else none
   */
  readonly origins?: readonly string[];
}

export const CLIENT_CERTIFICATES = ["none", "optional", "required"] as const;

/** In PEM: texts, not paths. */
export interface TlsOptions {
  /** The server's certificate, and after it those that lead to its authority. */
  readonly certificate: string;
  readonly key: string;
  /** Who signs the certificates of clients; has to be there where these count. */
  readonly authorities?: string;
  /** Whether clients show a certificate. One that is shown has to be valid. @default "none" */
  readonly clientCertificates?: (typeof CLIENT_CERTIFICATES)[number];
}

/** What may be changed while the server runs. */
export interface ReloadableOptions {
  /** Who may connect. With none, everybody on this machine may do everything. @default none */
  readonly users?: readonly UserOptions[];
  /** The user whose permissions those have who name none. @default nobody, where there are users */
  readonly anonymous?: string;
  readonly limits?: Partial<ConnectionLimits>;
  /** Certificate and key of every listener with TLS. @default no TLS */
  readonly tls?: TlsOptions;
}

export interface ServerOptions extends ReloadableOptions {
  /** AMQP 0-9-1. @default 127.0.0.1:5672, with TLS 5671 */
  readonly amqp?: ListenerOptions | "off";
  /** NATS. @default 127.0.0.1:4222 */
  readonly nats?: ListenerOptions | "off";
  /** NATS over WebSocket. @default "off"; its port is 8080 */
  readonly natsWebSocket?: WebSocketListenerOptions | "off";
  /** `/health/live`, `/health/ready` and `/metrics`. @default 127.0.0.1:8222 */
  readonly http?: ListenerOptions | "off";
  /** @default warnings and errors, a line each on standard error */
  readonly log?: ServerLog;
}

export type ListenerName = "amqp" | "nats" | "natsWebSocket" | "http";

const LISTENER_NAMES: readonly ListenerName[] = ["amqp", "nats", "natsWebSocket", "http"];

const ADDRESS_OPTIONS = ["host", "port", "tls"];
const LISTENER_OPTIONS: Readonly<Record<ListenerName, readonly string[]>> = {
  amqp: ADDRESS_OPTIONS,
  nats: ADDRESS_OPTIONS,
  natsWebSocket: [...ADDRESS_OPTIONS, "origins"],
  http: ADDRESS_OPTIONS,
};

const PORT_MAX = 65_535;
const HOST_DEFAULT = "127.0.0.1";

/**
 * Those that clients try first; for HTTP the one of nats-server's monitoring, since RabbitMQ's 15672 and 15692 are taken
 * wherever its plugins run beside.
 */
export const PORTS: Readonly<Record<ListenerName, { readonly plain: number; readonly tls: number }>> = {
  amqp: { plain: 5672, tls: 5671 },
  nats: { plain: 4222, tls: 4222 },
  natsWebSocket: { plain: 8080, tls: 8080 },
  http: { plain: 8222, tls: 8222 },
};

/** A listener with nothing left out. */
export interface ListenerPlan {
  readonly name: ListenerName;
  readonly host: string;
  readonly port: number;
  readonly hasTls: boolean;
  /** Of a WebSocket. */
  readonly origins: readonly string[] | undefined;
}

/** Those that are not off. Errors: INVALID_OPTION. */
export function plannedListeners(options: ServerOptions): ListenerPlan[] {
  return LISTENER_NAMES.flatMap((name) => {
    const given: unknown = options[name] ?? (name === "natsWebSocket" ? "off" : {});
    if (given === "off") return [];
    if (typeof given !== "object") throw invalidOption(name, given, 'an address or "off"');
    const listener = knownOptions<WebSocketListenerOptions>(name, given, LISTENER_OPTIONS[name]);
    const { tls: hasTls = options.tls !== undefined, host = HOST_DEFAULT, origins } = listener;
    const { port = PORTS[name][hasTls ? "tls" : "plain"] } = listener;
    if (!Number.isInteger(port) || port < 0 || port > PORT_MAX)
      throw invalidOption(`port of ${name}`, port, `a whole number from 0 to ${PORT_MAX}`);
    return [{ name, host, port, hasTls, origins }];
  });
}
