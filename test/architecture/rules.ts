// The rules of the house as data: who may import whom, who may touch the world, how long a file may be.
// A room is a folder of src/, or the name of a file that lies directly in it.

/**
 * Whom a room may import besides itself. `import type` and `import()` count. The leaves bytes/ and collections/ are
 * listed where they are used; `broker-error` may be imported by all.
 */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  index: ["bus", "engines"],
  bus: ["engines", "broker", "io", "bytes", "collections"],
  engines: ["broker", "log", "io", "bytes", "collections"],
  observe: ["index", "bus", "io"],
  testing: ["index", "bus", "engines", "io", "bytes", "collections"],
  cli: ["server", "console", "index", "bus", "engines", "broker", "io", "bytes", "collections"],
  server: [
    "protocols",
    "console",
    "observe",
    "network",
    "bus",
    "engines",
    "broker",
    "log",
    "io",
    "bytes",
    "collections",
  ],
  console: ["broker", "log", "io", "bytes", "collections"],
  protocols: ["network", "broker", "log", "io", "bytes", "collections"],
  network: ["broker", "io", "bytes", "collections"],
  broker: ["log", "io", "bytes", "collections"],
  log: ["io", "bytes", "collections"],
  io: ["bytes"],
  bytes: [],
  collections: [],
  "broker-error": [],
};

export const importedByAll: readonly string[] = ["broker-error"];

/** The folders of this room are rooms of their own to each other. */
export const dividedRoom = "protocols";

/** Something outside of the program, and the paths that may touch it. */
export interface WorldRule {
  readonly what: string;
  /** Modules that reach it, without `node:`. A module's subpaths count. */
  readonly modules: readonly string[];
  /** Code that reaches it; comments and strings are not searched. */
  readonly code: readonly RegExp[];
  readonly allowed: readonly RegExp[];
}

const io = /^src\/io\//;
const cli = /^src\/cli\//;
const server = /^src\/server\//;
const connection = /^src\/protocols\/[^/]+\/connection\.ts$/;

export const worldRules: readonly WorldRule[] = [
  { what: "files", modules: ["fs", "os"], code: [], allowed: [io] },
  {
    what: "wall and monotonic time",
    modules: ["perf_hooks"],
    code: [
      /\bDate\.now\b/g,
      /\bnew Date\b(?!\s*\(\s*[^\s)])/g,
      /\bperformance\.(?:now|timeOrigin)\b/g,
      /\bprocess\.(?:hrtime|uptime)\b/g,
    ],
    allowed: [io],
  },
  {
    what: "timers",
    modules: ["timers"],
    code: [/\b(?:setTimeout|setInterval|setImmediate)\b/g, /\bAbortSignal\.timeout\b/g],
    allowed: [io, cli],
  },
  {
    what: "randomness",
    modules: [],
    code: [
      /\bMath\.random\b/g,
      /\b(?:randomUUID|randomBytes|randomInt|randomFill|randomFillSync|getRandomValues|webcrypto)\b/g,
    ],
    allowed: [io],
  },
  {
    what: "processes",
    modules: ["child_process", "cluster", "process", "worker_threads"],
    code: [/\bprocess\.(?:pid|ppid|env|argv|cwd|chdir|exit|abort|kill|on|once|std(?:in|out|err))\b/g],
    allowed: [io, cli, server],
  },
  {
    what: "sockets",
    modules: ["net", "tls", "http", "https", "http2", "dgram", "dns"],
    code: [],
    allowed: [server, connection],
  },
  { what: "require(), which no rule sees", modules: ["module"], code: [], allowed: [cli] },
];

/** The rooms that know no protocol, and its words. A word counts inside a camelCase name as well. */
export const neutralRooms: readonly string[] = ["broker", "log"];
export const protocolWord = /\b(?:amqp|mqtt|nats|kafka|redis|rabbit|rabbitmq|jetstream)s?\b/gi;

/** A comment in log/ may name where the format that it draws comes from. */
export const formatCitation = {
  room: "log",
  comment: /\b(?:record batch|format|framing|frames?|records)\b/i,
};

export const linesMax = 500;
