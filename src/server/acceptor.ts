// From a socket that was just accepted to a connection that a protocol serves: room, keep-alive, TLS.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Peer, Protocol } from "../network/host.js";
import type { Connections, Place } from "./connections.js";
import type { LimitedLog } from "./limited-log.js";
import type { Meters } from "./meters.js";
import type { ServedHost } from "./served-host.js";
import type { TlsGate } from "./tls-gate.js";

export interface AcceptorParts {
  readonly host: ServedHost;
  readonly connections: Connections;
  readonly limitedLog: LimitedLog;
  readonly meters: Meters;
}

export class Acceptor {
  readonly #host: ServedHost;
  readonly #connections: Connections;
  readonly #log: LimitedLog;
  readonly #meters: Meters;
  #isClosed = false;

  constructor({ host, connections, limitedLog, meters }: AcceptorParts) {
    this.#host = host;
    this.#connections = connections;
    this.#log = limitedLog;
    this.#meters = meters;
  }

  /** Accepts nothing more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Serves `protocol` on the socket, after the handshake when there is a gate. */
  accept(protocol: Protocol, socket: Socket, gate: TlsGate | undefined): void {
    if (!this.hasRoom(protocol, addressOf(socket))) {
      sendAway(socket, protocol);
      return;
    }
    const place = this.#connections.take(protocol, socket, this.#host.anonymous);
    if (gate === undefined || protocol.startsPlain === true) {
      const startTls = gate === undefined ? undefined : (plain: Duplex) => gate.secure(plain as Socket);
      const peer = { ...peerOf(place, socket), isEncrypted: false, certificateName: undefined, startTls };
      this.#connections.serve(place, protocol, socket, peer);
    } else {
      void this.#secure(place, protocol, socket, gate);
    }
  }

  /** Serves `protocol` inside of a WebSocket, whose handshakes are over. */
  acceptStream(protocol: Protocol, stream: Duplex, { socket }: IncomingMessage): void {
    const place = this.#connections.take(protocol, stream, this.#host.anonymous);
    const isEncrypted = "encrypted" in socket;
    const peer = { ...peerOf(place, socket), isEncrypted, certificateName: undefined, startTls: undefined };
    this.#connections.serve(place, protocol, stream, peer);
  }

  /** Whether one more may be served; takes note when not. */
  hasRoom(protocol: Protocol, peer: string): boolean {
    const { connectionsMax } = this.#host.limits;
    if (this.#isClosed) return false;
    if (this.#connections.count < connectionsMax) return true;
    this.#meters.refused.add("full");
    this.#log.warn(
      { protocol: protocol.name, peer, connectionsMax },
      "a client was sent away, because there are as many connections as may be",
    );
    return false;
  }

  async #secure(place: Place, protocol: Protocol, socket: Socket, gate: TlsGate): Promise<void> {
    const plain = peerOf(place, socket);
    try {
      const secured = await gate.secure(socket);
      const { certificateName } = secured;
      const peer = { ...plain, isEncrypted: true, certificateName, startTls: undefined };
      this.#connections.serve(place, protocol, secured.socket, peer);
    } catch (error) {
      this.#connections.giveBack(place);
      this.#meters.refused.add("tls");
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.warn({ protocol: protocol.name, peer: plain.address, reason }, "a TLS handshake failed");
    }
  }
}

/** Does not wait for the client to leave: it might not. */
function sendAway(socket: Socket, { refusal = "" }: Protocol): void {
  socket.resume().end(refusal, () => void socket.destroy());
}

function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

function peerOf({ id }: Place, socket: Socket): Pick<Peer, "id" | "address" | "localAddress"> {
  return { id, address: addressOf(socket), localAddress: `${socket.localAddress}:${socket.localPort}` };
}
