// What `omnibus serve` prints when it accepts work: what listens where, and what to try.

import type { ListenerAddress } from "../server/listener.js";
import type { ListenerName } from "../server/server-options.js";
import { renderTable } from "./table.js";
import type { Colours, World } from "./world.js";

type Addresses = Readonly<Partial<Record<ListenerName, ListenerAddress>>>;

/** How each is named to people, and the beginning of its address without and with TLS. */
const TITLES: Readonly<Record<ListenerName, readonly [title: string, plain: string, tls: string]>> = {
  amqp: ["AMQP 0-9-1", "amqp", "amqps"],
  nats: ["NATS", "nats", "tls"],
  natsWebSocket: ["NATS over WebSocket", "ws", "wss"],
  http: ["HTTP", "http", "https"],
};
const PAGES = "/health/live /health/ready /metrics";

export interface Announcement {
  readonly data: string;
  readonly durability: string;
  readonly addresses: Addresses;
  readonly hasUsers: boolean;
  /** How this program is called here. */
  readonly program: string;
  /** The option that names the data directory, where it is not the default. */
  readonly dataOption: string;
}

/** The table of listeners. */
function listenerTable({ addresses, hasUsers }: Announcement, colours: Colours): string {
  const rows = listed(addresses).map(([name, address]) => [
    TITLES[name][0],
    urlOf(name, address),
    name === "http" ? PAGES : "",
  ]);
  const table = renderTable([{ title: "protocol" }, { title: "address" }, { title: "" }], rows, colours);
  const note = "There are no users: whoever is on this machine may do everything.";
  return hasUsers ? table : `${table}\n${colours.dim(note)}`;
}

/** Three commands that work with Node alone, as far as what listens allows. */
function linesToTry({ addresses, program, dataOption }: Announcement): string[] {
  const { nats, http } = addresses;
  const lines = [`${program}${dataOption} top`];
  if (nats !== undefined && !nats.hasTls) {
    const { host, port } = reachable(nats);
    const open = `require("net").connect(${port}, "${host}")`;
    lines.unshift(
      `node -e '${open}.on("connect", function () { this.write("SUB order.> 1\\r\\n") }).pipe(process.stdout)'`,
      `node -e '${open}.end("PUB order.placed 5\\r\\nhello\\r\\n")'`,
    );
  } else if (http !== undefined) {
    const url = urlOf("http", http);
    lines.unshift(`curl ${url}/health/ready`, `curl -s ${url}/metrics | grep omnibus_`);
  }
  return lines;
}

export async function announce(world: World, announcement: Announcement): Promise<void> {
  const { bold, dim } = world.colours;
  const { data, durability } = announcement;
  await world.line(`${bold("Omnibus")} on ${data} ${dim(`(${durability})`)}`);
  await world.line("");
  await world.line(listenerTable(announcement, world.colours));
  await world.line("");
  await world.line(bold("ready"));
  await world.line("");
  await world.line(dim("Try, each in a terminal of its own:"));
  for (const line of linesToTry(announcement)) await world.line(`  ${line}`);
  await world.flush();
}

/** For programs. */
export function announcementJson({ data, addresses, hasUsers }: Announcement): unknown {
  const listening = listed(addresses).map(([name, address]) => [
    name,
    { ...address, url: urlOf(name, address) },
  ]);
  return { ready: true, data, listening: Object.fromEntries(listening), hasUsers };
}

function listed(addresses: Addresses): [ListenerName, ListenerAddress][] {
  return Object.entries(addresses) as [ListenerName, ListenerAddress][];
}

function urlOf(name: ListenerName, { host, port, hasTls }: ListenerAddress): string {
  return `${TITLES[name][hasTls ? 2 : 1]}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** An address to connect to, where that to listen on stands for all of them. */
function reachable({ host, port }: ListenerAddress): { readonly host: string; readonly port: number } {
  return { host: host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host, port };
}
