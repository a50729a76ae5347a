// SASL: what a client answers, as credentials.

import type { Access, Credentials, Peer, ProtocolHost } from "../../network/host.js";
import { readTable } from "./wire/fields.js";
import { ProtocolError } from "./wire/protocol-error.js";
import { WireReader } from "./wire/reader.js";

export type Mechanism = "PLAIN" | "AMQPLAIN" | "EXTERNAL" | "ANONYMOUS";

/** What is offered to the peer, in RabbitMQ's order of preference. */
export function mechanismsFor(host: ProtocolHost, peer: Peer): readonly Mechanism[] {
  const mechanisms: Mechanism[] = ["AMQPLAIN", "PLAIN"];
  if (peer.certificateName !== undefined) mechanisms.push("EXTERNAL");
  if (host.anonymous !== undefined) mechanisms.push("ANONYMOUS");
  return mechanisms;
}

/** Who the client is; undefined when it cannot prove it. Errors: SYNTAX_ERROR for a response that cannot be read. */
export async function authenticate(
  host: ProtocolHost,
  peer: Peer,
  mechanism: Mechanism,
  response: Buffer,
): Promise<Access | undefined> {
  if (mechanism === "ANONYMOUS") return host.anonymous;
  return await host.authenticate(credentials(peer, mechanism, response), peer);
}

function credentials(peer: Peer, mechanism: Exclude<Mechanism, "ANONYMOUS">, response: Buffer): Credentials {
  switch (mechanism) {
    case "PLAIN":
      return plain(response);
    case "AMQPLAIN":
      return amqplain(response);
    case "EXTERNAL":
      return { kind: "certificate", name: peer.certificateName ?? "" };
  }
}

/** RFC 4616: authorization identity, user and password with a NUL between them. The first is not looked at. */
function plain(response: Buffer): Credentials {
  const userAt = response.indexOf(0) + 1;
  const passwordAt = response.indexOf(0, userAt) + 1;
  if (userAt === 0 || passwordAt === 0)
    throw new ProtocolError("SYNTAX_ERROR", "response is no PLAIN response");
  return {
    kind: "password",
    user: response.toString("utf8", userAt, passwordAt - 1),
    password: response.toString("utf8", passwordAt),
  };
}

/** A field table without its length. */
function amqplain(response: Buffer): Credentials {
  const sized = Buffer.alloc(4 + response.length);
  sized.writeUInt32BE(response.length, 0);
  response.copy(sized, 4);
  const table = readTable(new WireReader(sized));
  const login = table.get("LOGIN");
  const password = table.get("PASSWORD");
  if (login?.type !== "longstr" || password?.type !== "longstr")
    throw new ProtocolError("SYNTAX_ERROR", "AMQPLAIN auth info is missing LOGIN or PASSWORD field");
  return { kind: "password", user: login.value.toString(), password: password.value.toString() };
}
