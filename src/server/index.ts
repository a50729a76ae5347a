// What `omnibus/server` exports.

export type { ConnectionLimits, LogFields, ServerLog } from "../network/host.js";
export type { ListenerAddress } from "./listener.js";
export { openServer } from "./open-server.js";
export { hashPassword } from "./password-hash.js";
export type { Server } from "./server.js";
export type {
  ListenerName,
  ListenerOptions,
  ReloadableOptions,
  ServerOptions,
  TlsOptions,
  WebSocketListenerOptions,
} from "./server-options.js";
export type { PermissionOptions, UserOptions } from "./user-options.js";
