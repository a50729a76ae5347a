// What the server says that is no message.

export const OK = Buffer.from("+OK\r\n");
export const PING = Buffer.from("PING\r\n");
export const PONG = Buffer.from("PONG\r\n");
export const CRLF = Buffer.from("\r\n");

/** What follows the subject and the subscription of a message that says that nobody is there to answer. */
export const NO_RESPONDERS = Buffer.from("16 16\r\nNATS/1.0 503\r\n\r\n\r\n");

/** Text between single quotes, on one line. */
export function errorLine(text: string): string {
  return `-ERR '${text.replace(/[\r\n]+/g, " ").replaceAll("'", "`")}'\r\n`;
}

/** What a client is told when it connects, and when something of it changes. Names are those of the wire. */
export interface ServerInfo {
  readonly server_id: string;
  readonly server_name: string;
  readonly version: string;
  readonly proto: number;
  readonly host: string;
  readonly port: number;
  readonly headers: boolean;
  readonly jetstream: boolean;
  readonly max_payload: number;
  readonly client_id: number;
  readonly client_ip: string;
  readonly auth_required?: boolean;
  readonly tls_required?: boolean;
  readonly tls_available?: boolean;
  readonly nonce?: string;
  readonly ldm?: boolean;
}

export function infoLine(info: ServerInfo): string {
  return `INFO ${JSON.stringify(info)} \r\n`;
}
