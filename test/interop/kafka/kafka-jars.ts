// Kafka's own classes, fetched once by the pom.xml beside this file into the project's `.cache/` folder.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fetched, root } from "../../support/fetched.js";
import { missingCommands } from "../../support/requires.js";

const sources = join(root, "test/interop/kafka");

/** Kafka's classes, ready to run. */
export class KafkaJars {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** The reason as text where they cannot be had; rejects instead on CI. */
  static async fetch(): Promise<KafkaJars | string> {
    const missing = missingCommands("java", "mvn");
    if (missing !== false) return missing;
    const result = await fetched("kafka-jars", sources, (folder) => {
      const goal = ["dependency:copy-dependencies", `-DoutputDirectory=${folder}`];
      execFileSync("mvn", ["-q", "-B", "-f", join(sources, "pom.xml"), ...goal], { stdio: "pipe" });
    });
    return "missing" in result ? result.missing : new KafkaJars(result.folder);
  }

  /** Runs a class of Kafka's, or a `.java` file of this folder, and returns what it prints. */
  run(program: string, ...args: string[]): string {
    const main = program.endsWith(".java") ? join(sources, program) : program;
    const utf8 = ["file.encoding", "stdout.encoding", "sun.stdout.encoding"].map((name) => `-D${name}=UTF-8`);
    return execFileSync("java", [...utf8, "-cp", join(this.#folder, "*"), main, ...args], {
      encoding: "utf8",
      maxBuffer: 256 * 1024 * 1024,
    });
  }
}
