// HTTP servers with the bounds and the certificate that all of them have here.

import { createServer, type Server as HttpServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { TlsGate } from "./tls-gate.js";

const REQUEST_MS = 10_000;
const IDLE_MS = 5_000;
const PROBE_MS = 30_000;
const HEADER_BYTES_MAX = 16 * 1024;
const BOUNDS = {
  headersTimeout: REQUEST_MS,
  requestTimeout: REQUEST_MS,
  connectionsCheckingInterval: IDLE_MS,
  keepAliveTimeout: IDLE_MS,
  maxHeaderSize: HEADER_BYTES_MAX,
  keepAlive: true,
  keepAliveInitialDelay: PROBE_MS,
};

/** With TLS when there is a gate, whose certificate it follows. */
export function webServer(
  gate: TlsGate | undefined,
  connectionsMax: number,
  onRequest: RequestListener,
): HttpServer {
  const server = gate === undefined ? createServer(BOUNDS, onRequest) : secureServer(gate, onRequest);
  server.maxConnections = connectionsMax;
  // A peer that breaks off, or sends what is no HTTP.
  server.on("clientError", (_, socket) => void socket.destroy());
  return server;
}

function secureServer(gate: TlsGate, onRequest: RequestListener): HttpServer {
  const options = gate.optionsFor((changed) => server.setSecureContext(changed));
  const server = createSecureServer({ ...BOUNDS, ...options, handshakeTimeout: REQUEST_MS }, onRequest);
  return server;
}
