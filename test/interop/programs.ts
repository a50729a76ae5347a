// The programs of `clients/`, written against real client libraries, ready to be run.

import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { fetched, root } from "../support/fetched.js";
import { missingCommands } from "../support/requires.js";

const sources = join(root, "test/interop/clients");
const RUN_MS = 90_000;

/** A program that is given the address of a server, and prints what it saw as JSON. */
export interface Program {
  /** The client library. */
  readonly client: string;
  /** Why it cannot be run here, or false. */
  readonly missing: string | false;
  /** Errors: what it printed on standard error, when it fails or is late. */
  run(url: string, ...more: string[]): Promise<unknown>;
}

/** How the programs of one language are made, and how one of them is started. */
interface Language {
  readonly folder: string;
  readonly commands: readonly string[];
  make(folder: string): void;
  start(folder: string, file: string): { command: string; args: string[]; environment?: NodeJS.ProcessEnv };
}

const NODE: Language = {
  folder: "node",
  commands: ["npm"],
  make: (folder) => {
    const from = join(sources, "node");
    for (const name of readdirSync(from).filter((file) => file !== "node_modules"))
      cpSync(join(from, name), join(folder, name));
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: folder,
      stdio: "pipe",
    });
  },
  start: (folder, file) => ({ command: process.execPath, args: [join(folder, file)] }),
};

const GO: Language = {
  folder: "go",
  commands: ["go"],
  make: (folder) => {
    const work = join(folder, "source");
    cpSync(join(sources, "go"), work, { recursive: true });
    addStreadway(work);
    execFileSync("go", ["build", "-o", `${folder}/`, "./..."], { cwd: work, stdio: "pipe" });
  },
  start: (folder, file) => ({ command: join(folder, file), args: [] }),
};

/** rabbitmq/amqp091-go was made from it: the same program, with the other import. */
function addStreadway(work: string): void {
  const program = readFileSync(join(work, "amqp091/main.go"), "utf8");
  mkdirSync(join(work, "streadway"));
  writeFileSync(
    join(work, "streadway/main.go"),
    program.replace('"github.com/rabbitmq/amqp091-go"', '"github.com/streadway/amqp"'),
  );
}

const PYTHON: Language = {
  folder: "python",
  commands: ["python3"],
  make: (folder) => {
    const requirements = join(sources, "python/requirements.txt");
    const install = ["-m", "pip", "install", "--quiet", "--target", folder, "--requirement", requirements];
    execFileSync("python3", install, { stdio: "pipe" });
  },
  start: (folder, file) => ({
    command: "python3",
    args: [join(sources, "python", file)],
    environment: { PYTHONPATH: folder },
  }),
};

const JAVA: Language = {
  folder: "java",
  commands: ["java", "mvn"],
  make: (folder) => {
    const goal = ["dependency:copy-dependencies", `-DoutputDirectory=${folder}`];
    execFileSync("mvn", ["-q", "-B", "-f", join(sources, "java/pom.xml"), ...goal], { stdio: "pipe" });
  },
  start: (folder, file) => ({
    command: "java",
    args: ["-cp", join(folder, "*"), join(sources, "java", file)],
  }),
};

const made = new Map<Language, ReturnType<typeof fetched>>();

async function program(client: string, language: Language, file: string): Promise<Program> {
  const lacking = missingCommands(...language.commands);
  if (lacking !== false) return { client, missing: lacking, run: () => Promise.reject(new Error(lacking)) };
  const making =
    made.get(language) ??
    fetched(`interop-${language.folder}`, join(sources, language.folder), (folder) => language.make(folder));
  made.set(language, making);
  const result = await making;
  if ("missing" in result)
    return { client, missing: result.missing, run: () => Promise.reject(new Error(result.missing)) };
  const { command, args, environment } = language.start(result.folder, file);
  return {
    client,
    missing: false,
    run: async (url, ...more) => {
      const env = { ...process.env, ...environment };
      const options = { env, timeout: RUN_MS, maxBuffer: 64 * 1024 * 1024 };
      const { stdout } = await promisify(execFile)(command, [...args, url, ...more], options);
      return JSON.parse(stdout);
    },
  };
}

/** Those that do the tutorials of RabbitMQ. */
export async function amqpPrograms(): Promise<Program[]> {
  return [
    await program("amqplib", NODE, "amqplib.mjs"),
    await program("rabbitmq-client", NODE, "rabbitmq-client.mjs"),
    await program("amqp-connection-manager", NODE, "amqp-connection-manager.mjs"),
    await program("@cloudamqp/amqp-client", NODE, "cloudamqp.mjs"),
    await program("streadway/amqp", GO, "streadway"),
    await program("rabbitmq/amqp091-go", GO, "amqp091"),
    await program("pika", PYTHON, "amqp_pika.py"),
    await program("the Java client", JAVA, "Amqp.java"),
  ];
}

/** Those that do the tutorials of NATS. */
export async function natsPrograms(): Promise<Program[]> {
  return [
    await program("@nats-io/transport-node", NODE, "nats.mjs"),
    await program("nats.go", GO, "natsgo"),
    await program("nats-py", PYTHON, "nats_py.py"),
  ];
}
