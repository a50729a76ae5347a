// One address that sockets are accepted at for one protocol.

import { createServer, type Server as NetServer, type Socket } from "node:net";
import { BrokerError } from "../broker-error.js";
import type { ListenerName, ListenerPlan } from "./server-options.js";

/** What may wait to be accepted while the event loop is busy: floods come in waves. */
const BACKLOG = 1_024;
/** When the system begins to probe a peer that has been silent: one that vanished is noticed some probes later. */
const KEEP_ALIVE_MS = 30_000;

/** Where a listener can be reached. */
export interface ListenerAddress {
  readonly host: string;
  readonly port: number;
  readonly hasTls: boolean;
}

export interface Listener {
  readonly name: ListenerName;
  readonly address: ListenerAddress;
  /** Accepts nothing more. */
  close(): void;
}

/** Hears of sockets that could not be accepted, as when there are no file descriptors left. */
type OnTrouble = (error: Error) => void;

/** Listens for plain sockets. Errors: LISTEN_FAILED. */
export async function listen(
  plan: ListenerPlan,
  onTrouble: OnTrouble,
  onSocket: (socket: Socket) => void,
): Promise<Listener> {
  const server = createServer({
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  });
  server.on("connection", (socket) => {
    // A protocol hears of errors by the socket's end; until it owns the socket nobody else listens.
    socket.on("error", () => undefined);
    onSocket(socket);
  });
  return bound(plan, onTrouble, server);
}

/** Binds `server` to the plan's address. Errors: LISTEN_FAILED. */
export async function bound(plan: ListenerPlan, onTrouble: OnTrouble, server: NetServer): Promise<Listener> {
  const { name, host, port, hasTls } = plan;
  await new Promise<void>((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(listenFailed(plan, error));
    server.once("error", fail);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off("error", fail);
      resolve();
    });
  });
  server.on("error", onTrouble);
  const address = server.address();
  const boundPort = typeof address === "object" && address !== null ? address.port : port;
  return { name, address: { host, port: boundPort, hasTls }, close: () => void server.close() };
}

/** Why an address could not be had, in words that say what to do. */
function listenFailed(plan: ListenerPlan, error: NodeJS.ErrnoException): BrokerError {
  const { name, host, port } = plan;
  const context = { listener: name, host, port, cause: error.code };
  return new BrokerError("LISTEN_FAILED", `${sentence(plan, error)}`, context, error);
}

function sentence({ name, host, port }: ListenerPlan, { code, message }: NodeJS.ErrnoException): string {
  const where = `The listener ${name} cannot listen on ${host}:${port}`;
  if (code === "EADDRINUSE")
    return `${where}: another program does already. Stop that program, give ${name} another port, or turn it "off".`;
  if (code === "EACCES")
    return `${where}: this user may not. Take a port above 1023, or allow the program to bind lower ones.`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `${where}: this machine has no such address. Give one that it has, or 0.0.0.0 for all.`;
  return `${where}: ${message}.`;
}
