// Kafka's own classes, fetched once by the pom.xml beside this file into the project's `.cache/` folder.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { missingCommands, unavailable } from "../../support/requires.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const sources = join(root, "test/interop/kafka");

/** Kafka's classes, ready to run. */
export class KafkaJars {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** The reason as text where they cannot be had; throws instead on CI. */
  static fetch(): KafkaJars | string {
    const missing = missingCommands("java", "mvn");
    if (missing !== false) return missing;
    const pom = join(sources, "pom.xml");
    const version = createHash("sha256").update(readFileSync(pom)).digest("hex").slice(0, 12);
    const folder = join(root, ".cache", `kafka-jars-${version}`);
    if (existsSync(folder)) return new KafkaJars(folder);
    mkdirSync(join(root, ".cache"), { recursive: true });
    const incomplete = mkdtempSync(`${folder}.`);
    try {
      const goal = ["dependency:copy-dependencies", `-DoutputDirectory=${incomplete}`];
      execFileSync("mvn", ["-q", "-B", "-f", pom, ...goal], { stdio: "pipe" });
    } catch (error) {
      return unavailable(`mvn could not fetch Kafka's jars: ${String(error)}`);
    }
    putInPlace(incomplete, folder);
    return new KafkaJars(folder);
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

/** Another test file may have fetched the same at the same time: who comes second keeps what the first has put there. */
function putInPlace(fetched: string, folder: string): void {
  try {
    renameSync(fetched, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    rmSync(fetched, { recursive: true });
  }
}
