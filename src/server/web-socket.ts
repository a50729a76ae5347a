// Sockets of a protocol inside WebSockets: each message is some bytes of the stream.

import type { Server as HttpServer, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";
import { isLoopback } from "./loopback.js";

/** Upgrades requests on any path, from the pages that may. `take` says whether there is room for another. */
export interface WebSocketDoor {
  readonly host: string;
  readonly origins: readonly string[] | undefined;
  readonly messageBytesMax: number;
  take(request: IncomingMessage): boolean;
  accept(stream: Duplex, request: IncomingMessage): void;
}

/** A frame holds one message of the protocol with its framing at most, in practice. */
const FRAME_EXTRA_BYTES = 1024 * 1024;

export function serveWebSockets(server: HttpServer, door: WebSocketDoor): void {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: door.messageBytesMax + FRAME_EXTRA_BYTES,
  });
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => undefined);
    if (!mayConnect(door, request)) return refuse(socket, "403 Forbidden");
    if (!door.take(request)) return refuse(socket, "503 Service Unavailable");
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const stream = createWebSocketStream(webSocket);
      stream.on("error", () => undefined);
      door.accept(stream, request);
    });
  });
}

/** A page that somebody happens to look at must not reach a server on their machine. */
function mayConnect({ host, origins }: WebSocketDoor, { headers: { origin } }: IncomingMessage): boolean {
  if (origin === undefined) return true;
  if (origins !== undefined) return origins.includes("*") || origins.includes(origin);
  return isLoopback(host) && isLoopback(hostOf(origin));
}

function hostOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).hostname.replace(/^\[|\]$/g, "") : "";
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}
