// `omnibus hash-password`: what a configuration keeps instead of a password.

import { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import { CommandFailure } from "../failure.js";
import { withExamples } from "../help.js";
import { SecretInput } from "../secret.js";
import type { World } from "../world.js";

export function hashPasswordCommand(world: World): Command {
  const command = new Command("hash-password")
    .summary("make the hash of a password for the users of a server")
    .description(
      "Asks for a password, without showing it, or takes the first line of standard input, and prints the text that\n" +
        "stands for it in the configuration: for `password`, or for `token`. It is another text each time.",
    );
  withExamples(command, [
    ["omnibus hash-password", "asks twice"],
    ["pass show broker/orders | omnibus hash-password", "from a password store"],
  ]);
  return command.action(async () => {
    const input = new SecretInput(world);
    const password = await input.readLine("Password: ");
    if (password === "")
      throw new CommandFailure(EXIT.badInput, "the password is empty", "give at least one character");
    if (world.stdin.isTTY === true && (await input.readLine("Again: ")) !== password)
      throw new CommandFailure(EXIT.badInput, "the two passwords differ", "try again");
    const { hashPassword } = await import("../../server/password-hash.js");
    const hash = await hashPassword(password);
    if (command.optsWithGlobals<{ json?: boolean }>().json === true) await world.json({ hash });
    else await world.line(hash);
  });
}
