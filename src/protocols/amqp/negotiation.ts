// The beginning of a connection: which protocol, who the client is, and what both ends keep to.

import type { Access, ConnectionLimits, Peer, ProtocolHost } from "../../network/host.js";
import { authenticate, type Mechanism, mechanismsFor } from "./sasl.js";
import { type FieldTable, type FieldValue, NO_FIELDS, textField } from "./wire/fields.js";
import type { Method, MethodFields } from "./wire/methods.js";
import { ProtocolError } from "./wire/protocol-error.js";

export const PROTOCOL_HEADER_BYTES = 8;
/** What a client that begins with another protocol is told: the one that is spoken here. */
export const PROTOCOL_HEADER = Buffer.from("AMQP\x00\x00\x09\x01", "latin1");
/** Begins AMQP 0-9, of which 0-9-1 is a correction; clients of it get on. */
const PROTOCOL_HEADER_0_9 = Buffer.from("AMQP\x01\x01\x00\x09", "latin1");

/** The specification's least, until the client has said who it is; tokens as passwords need more. */
export const INITIAL_FRAME_MAX = 8_192;
const FRAME_MIN = 4_096;
const FRAME_MAX = 131_072;
const CAPABILITIES = [
  "publisher_confirms",
  "exchange_exchange_bindings",
  "basic.nack",
  "consumer_cancel_notify",
  "connection.blocked",
  "consumer_priorities",
  "authentication_failure_close",
  "per_consumer_qos",
  "direct_reply_to",
];

/** The name and version that clients are shown, in the form that they look for features by: those of RabbitMQ. */
const SERVER_PROPERTIES: FieldTable = new Map<string, FieldValue>([
  [
    "capabilities",
    {
      type: "table",
      value: new Map(CAPABILITIES.map((name): [string, FieldValue] => [name, { type: "bool", value: true }])),
    },
  ],
  ["cluster_name", textField("omnibus")],
  ["copyright", textField("Apache License 2.0")],
  ["information", textField("Omnibus speaks AMQP 0-9-1 with RabbitMQ's extensions")],
  ["platform", textField("Node.js")],
  ["product", textField("Omnibus")],
  ["version", textField("0.1.0")],
]);

export function isProtocolHeader(bytes: Buffer): boolean {
  return bytes.equals(PROTOCOL_HEADER) || bytes.equals(PROTOCOL_HEADER_0_9);
}

/** What the client said about itself, and what was agreed on. */
export class Negotiation {
  readonly #host: ProtocolHost;
  readonly #peer: Peer;
  readonly #limits: ConnectionLimits;
  #mechanism: Mechanism | undefined = undefined;
  #user = "";
  #capabilities: FieldTable = NO_FIELDS;
  #properties: FieldTable = NO_FIELDS;
  channelMax = 0;
  frameMax = INITIAL_FRAME_MAX;
  heartbeatSeconds = 0;

  constructor(host: ProtocolHost, peer: Peer, limits: ConnectionLimits) {
    this.#host = host;
    this.#peer = peer;
    this.#limits = limits;
  }

  get start(): MethodFields<"connection.start"> {
    return {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: SERVER_PROPERTIES,
      mechanisms: Buffer.from(mechanismsFor(this.#host, this.#peer).join(" ")),
      locales: Buffer.from("en_US"),
    };
  }

  get tune(): MethodFields<"connection.tune"> {
    return {
      channelMax: this.#limits.channelsMax,
      frameMax: FRAME_MAX,
      heartbeat: Math.min(0xffff, Math.ceil(this.#limits.idleMs / 1000)),
    };
  }

  /** The name that the client gives its connection, or itself. */
  get clientName(): string | undefined {
    const name = this.#properties.get("connection_name") ?? this.#properties.get("product");
    return name?.type === "longstr" ? name.value.toString().slice(0, 200) : undefined;
  }

  can(capability: string): boolean {
    const value = this.#capabilities.get(capability);
    return value?.type === "bool" && value.value;
  }

  /** Errors: COMMAND_INVALID for a mechanism that was not offered, ACCESS_REFUSED, SYNTAX_ERROR. */
  async startOk({ clientProperties, mechanism, response }: Method<"connection.start-ok">): Promise<Access> {
    // Copies: the chunk that they came in should not live as long as the connection.
    this.#properties = kept(clientProperties);
    const capabilities = clientProperties.get("capabilities");
    if (capabilities?.type === "table") this.#capabilities = kept(capabilities.value);
    this.#mechanism = mechanismsFor(this.#host, this.#peer).find((name) => name === mechanism);
    if (this.#mechanism === undefined)
      throw new ProtocolError("COMMAND_INVALID", `unknown authentication mechanism '${mechanism}'`);
    const access = await authenticate(this.#host, this.#peer, this.#mechanism, response);
    if (access === undefined) throw this.#refusal(this.#mechanism);
    this.#user = access.user;
    return access;
  }

  #refusal(mechanism: Mechanism): ProtocolError {
    return new ProtocolError(
      "ACCESS_REFUSED",
      `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
    );
  }

  /** Errors: NOT_ALLOWED. */
  tuneOk({ channelMax, frameMax, heartbeat }: Method<"connection.tune-ok">): void {
    assertNegotiated("frame_max", frameMax, FRAME_MIN, FRAME_MAX);
    assertNegotiated("channel_max", channelMax, 1, this.#limits.channelsMax);
    this.channelMax = channelMax;
    this.frameMax = frameMax;
    this.heartbeatSeconds = heartbeat;
  }

  /** There is one virtual host. Errors: NOT_ALLOWED. */
  open({ virtualHost }: Method<"connection.open">): void {
    if (virtualHost !== "/") throw new ProtocolError("NOT_ALLOWED", `vhost ${virtualHost} not found`);
  }

  /** The same user with another password or token. Errors: NOT_ALLOWED. */
  async updateSecret({ newSecret }: Method<"connection.update-secret">): Promise<Access> {
    const password = newSecret.toString();
    const access = await this.#host.authenticate(
      { kind: "password", user: this.#user, password },
      this.#peer,
    );
    if (access?.user === this.#user) return access;
    throw new ProtocolError("NOT_ALLOWED", "New secret was refused by one of the backends");
  }
}

/** As RabbitMQ has it: 0 asks for no limit, which is more than any limit. Errors: NOT_ALLOWED. */
function assertNegotiated(field: string, asked: number, min: number, max: number): void {
  if (asked !== 0 && asked < min) throw notNegotiated(field, asked, "lower", "minimum", min);
  if (asked === 0 || asked > max) throw notNegotiated(field, asked, "higher", "maximum", max);
}

function notNegotiated(
  field: string,
  asked: number,
  how: string,
  which: string,
  limit: number,
): ProtocolError {
  return new ProtocolError(
    "NOT_ALLOWED",
    `negotiated ${field} = ${asked} is ${how} than the ${which} allowed value (${limit})`,
  );
}

function kept(table: FieldTable): FieldTable {
  const copy = new Map<string, FieldValue>();
  for (const [name, field] of table) {
    if (field.type === "longstr") copy.set(name, { type: "longstr", value: Buffer.from(field.value) });
    else if (field.type === "bool") copy.set(name, field);
  }
  return copy;
}
