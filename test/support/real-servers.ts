// The servers whose clients Omnibus serves, and Omnibus, each in a folder of its own that is gone when the tests are over.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as natsServer from "../../bench/servers/nats-server.js";
import * as omnibus from "../../bench/servers/omnibus.js";
import * as rabbitMq from "../../bench/servers/rabbitmq.js";
import type { RunningServer } from "../../bench/servers/running-server.js";
import { unavailable } from "./requires.js";

export { startNatsServer } from "../../bench/servers/nats-server.js";
export type { OmnibusServer } from "../../bench/servers/omnibus.js";
export type { RunningServer } from "../../bench/servers/running-server.js";

// A signal ends a process without "exit", and the servers end at that.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/** Why there is no RabbitMQ, or false. */
export function missingRabbitMq(): string | false {
  return skipped(rabbitMq.missingRabbitMq());
}

/** Why there is no nats-server, or false. */
export function missingNatsServer(): string | false {
  return skipped(natsServer.missingNatsServer());
}

export function startRabbitMq(): Promise<RunningServer> {
  return rabbitMq.startRabbitMq(ownFolder());
}

/** `omnibus serve` on a data directory of its own unless one is given. */
export function startOmnibus(options: { readonly data?: string } = {}): Promise<omnibus.OmnibusServer> {
  return omnibus.startOmnibus(options.data ?? ownFolder());
}

function skipped(missing: string | false): string | false {
  return missing !== false && unavailable(missing);
}

function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "omnibus-server-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}
