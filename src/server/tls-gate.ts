// Makes sockets secure: one certificate for all listeners, which may be replaced while connections are open.

import type { Socket } from "node:net";
import {
  createServer,
  type TlsOptions as NodeTlsOptions,
  type TLSSocket,
  type Server as TlsServer,
} from "node:tls";
import { invalidOption, knownOptions, oneOf } from "../bus/option-checks.js";
import type { SecuredSocket } from "../network/host.js";
import { CLIENT_CERTIFICATES, type TlsOptions } from "./server-options.js";

const TLS_OPTIONS = ["certificate", "key", "authorities", "clientCertificates"];

interface Waiting {
  resolve(socket: TLSSocket): void;
  reject(error: Error): void;
}

/**
 * Handshakes are those of a TLS server that never listens and is handed each socket: that is how Node checks certificates of
 * clients. What it answers with is told apart by its addresses, which no two open sockets share.
 */
export class TlsGate {
  readonly #waiting = new Map<string, Waiting>();
  readonly #followers: ((options: NodeTlsOptions) => void)[] = [];
  #server: TlsServer;
  #options: NodeTlsOptions;

  /** Errors: INVALID_OPTION. */
  constructor(options: TlsOptions, handshakeMs: number) {
    this.#options = nodeOptions(options);
    this.#server = this.#open(this.#options, handshakeMs);
  }

  /** For what begins from now on. Errors: INVALID_OPTION; then all stays as it was. */
  replace(options: TlsOptions, handshakeMs: number): void {
    const replacing = nodeOptions(options);
    this.#server = this.#open(replacing, handshakeMs);
    this.#options = replacing;
    for (const follow of this.#followers) follow(this.#options);
  }

  /** What another server of Node needs to be secure in the same way; `follow` hears of it whenever it is replaced. */
  optionsFor(follow: (options: NodeTlsOptions) => void): NodeTlsOptions {
    this.#followers.push(follow);
    return this.#options;
  }

  /** Rejects when the client does not bring the handshake to its end, in time, with a certificate that is valid. */
  async secure(socket: Socket): Promise<SecuredSocket> {
    const key = keyOf(socket);
    const onClose = (): void => this.#waiting.get(key)?.reject(new Error("the client left"));
    try {
      const secured = await new Promise<TLSSocket>((resolve, reject) => {
        this.#waiting.set(key, { resolve, reject });
        socket.once("close", onClose);
        this.#server.emit("connection", socket);
      });
      return { socket: secured, certificateName: certificateName(secured) };
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      socket.off("close", onClose);
      this.#waiting.delete(key);
    }
  }

  #open(options: NodeTlsOptions, handshakeTimeout: number): TlsServer {
    let server: TlsServer;
    try {
      server = createServer({ ...options, handshakeTimeout });
    } catch (error) {
      throw invalidOption(
        "tls",
        (error as Error).message,
        "a certificate and its key in PEM that belong together",
      );
    }
    server.on("secureConnection", (socket) => this.#waiting.get(keyOf(socket))?.resolve(socket));
    server.on("tlsClientError", (error, socket) => {
      this.#waiting.get(keyOf(socket))?.reject(error);
      socket.destroy();
    });
    return server;
  }
}

function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Of a client whose certificate was found to be valid. Errors: for one that was shown and is not. */
function certificateName(socket: TLSSocket): string | undefined {
  const { subject } = socket.getPeerCertificate();
  if (subject === undefined) return undefined;
  if (!socket.authorized)
    throw new Error(`the client's certificate is not valid: ${socket.authorizationError}`);
  // Several common names come as a list; the first is the least specific, and whose it is would be a guess.
  return typeof subject.CN === "string" ? subject.CN : undefined;
}

function nodeOptions(given: TlsOptions): NodeTlsOptions {
  const options = knownOptions("tls", given, TLS_OPTIONS);
  const { certificate, key, authorities, clientCertificates = "none" } = options;
  if (typeof certificate !== "string")
    throw invalidOption("tls.certificate", certificate, "a certificate in PEM");
  if (typeof key !== "string") throw invalidOption("tls.key", "no text", "a private key in PEM");
  oneOf("tls.clientCertificates", clientCertificates, CLIENT_CERTIFICATES);
  // Node would take the authorities of the web instead, where anybody gets a certificate.
  if (clientCertificates !== "none" && typeof authorities !== "string")
    throw invalidOption("tls.authorities", authorities, "in PEM who signs the certificates of clients");
  return {
    cert: certificate,
    key,
    ...(authorities === undefined ? {} : { ca: authorities }),
    requestCert: clientCertificates !== "none",
    rejectUnauthorized: clientCertificates === "required",
    minVersion: "TLSv1.2",
  };
}
