// A process that opens the data directory it is given, says how that went, and holds it until it is told to stop.

import { BrokerError } from "../../src/broker-error.js";
import { systemIo } from "../../src/io/system-io.js";
import { LogStore } from "../../src/log/log-store.js";

const directory = process.argv[2]!;

try {
  const store = await LogStore.open(systemIo, directory);
  process.stdout.write(`held ${process.pid}\n`);
  process.stdin.on("data", () => {});
  process.stdin.on("end", () => void store.close());
} catch (error) {
  const { code, context } = error as BrokerError;
  process.stdout.write(`${error instanceof BrokerError ? code : "ERROR"} ${context["pid"]}\n`);
}
