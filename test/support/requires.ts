// What a test needs from the machine and may not find there: a reason to skip on a developer's, a failure on CI.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Why a test that runs `commands` must be skipped, or false when they are all there. Throws instead on CI. */
export function missingCommands(...commands: string[]): string | false {
  const missing = commands.filter((command) => !isOnPath(command));
  return missing.length > 0 && unavailable(`${missing.join(", ")}: command not found`);
}

/** `reason`, for the `skip` of a test. Throws instead on CI, where everything must be there. */
export function unavailable(reason: string): string {
  if (process.env["CI"]) throw new Error(`${reason}; on CI this test may not be skipped`);
  return reason;
}

function isOnPath(command: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
