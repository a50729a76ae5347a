// How a client of NATS proves who it is.

import type { Credentials } from "../../network/host.js";
import type { ConnectOptions } from "./wire/connect.js";

/** Undefined when it does not try. `nonce` is what it was given to sign. */
export function credentialsOf(
  { user, password, token, nkey, signature }: ConnectOptions,
  nonce: string,
  certificateName: string | undefined,
): Credentials | undefined {
  if (nkey !== undefined) {
    const signed = Buffer.from(signature ?? "", "base64url");
    return { kind: "nkey", publicKey: nkey, nonce: Buffer.from(nonce), signature: signed };
  }
  if (token !== undefined) return { kind: "token", token };
  if (user !== undefined) return { kind: "password", user, password: password ?? "" };
  if (certificateName !== undefined) return { kind: "certificate", name: certificateName };
  return undefined;
}
