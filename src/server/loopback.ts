// Which addresses nobody else can reach.

import { isIPv4, isIPv6 } from "node:net";

/** Whether the name or the address stands for this machine alone. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (isIPv4(name)) return name.startsWith("127.");
  if (isIPv6(name)) return name === "::1" || name.startsWith("::ffff:127.");
  return name === "localhost" || name.endsWith(".localhost");
}
