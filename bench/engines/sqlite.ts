// A queue on SQLite through better-sqlite3, written as well as its users would: WAL with synchronous FULL, one table and
// one index, prepared statements, and a transaction per batch on each side. Inside a process everything that one turn of
// the event loop published commits in one transaction, and an acknowledgement shares its transaction with the next claim.

import { join } from "node:path";
import { BODY_BYTES, BodyRing, readBody } from "../bodies.js";
import { loadPeer } from "../peers.js";
import type { BenchEngine, DeliverySink, EngineSession, EngineSetup } from "./engine.js";

/** What is used of better-sqlite3. */
interface Statement {
  run(...parameters: unknown[]): unknown;
  all(...parameters: unknown[]): unknown[];
}
interface Database {
  pragma(source: string): unknown;
  exec(source: string): unknown;
  prepare(source: string): Statement;
  transaction(action: () => void): () => void;
  close(): unknown;
}
type DatabaseClass = new (path: string) => Database;

const SCHEMA = `
  CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    visible_at INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
  );
  CREATE INDEX message_by_queue ON message (queue, id);
`;

const CLAIM = `
  UPDATE message SET visible_at = ?, attempts = attempts + 1
  WHERE id IN (SELECT id FROM message WHERE queue = ? AND visible_at <= ? ORDER BY id LIMIT ?)
  RETURNING id, body
`;

const LEASE_MS = 30_000;

/** A row as the claim returns it. */
interface ClaimedRow {
  readonly id: number;
  readonly body: Uint8Array;
}

interface PendingPublish {
  readonly queue: number;
  readonly first: number;
  readonly count: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class SqliteSession implements EngineSession {
  readonly #database: Database;
  readonly #depth: number;
  readonly #insert: Statement;
  readonly #claim: Statement;
  readonly #remove: Statement;
  readonly #bodies: BodyRing[] = [];
  readonly #publishAll: () => void;
  readonly #settleAndClaim: () => void;
  #publishes: PendingPublish[] = [];
  /** Messages per queue that were committed and not yet claimed. */
  readonly #ready: number[];
  /** What is claimed per queue, to be removed by the next transaction. */
  readonly #claimed: ClaimedRow[][];
  #sink: DeliverySink | undefined;
  #isPublishScheduled = false;
  #isConsumeScheduled = false;

  constructor(database: Database, setup: EngineSetup) {
    this.#database = database;
    this.#depth = setup.depth;
    this.#insert = database.prepare("INSERT INTO message (queue, body) VALUES (?, ?)");
    this.#claim = database.prepare(CLAIM);
    this.#remove = database.prepare("DELETE FROM message WHERE id = ?");
    this.#publishAll = database.transaction(() => this.#insertPending());
    this.#settleAndClaim = database.transaction(() => this.#removeAndClaim());
    this.#ready = new Array(setup.queues).fill(0);
    this.#claimed = Array.from({ length: setup.queues }, () => []);
    for (let queue = 0; queue < setup.queues; queue++) this.#bodies.push(new BodyRing(queue, setup.depth));
  }

  publish(queue: number, first: number, count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#publishes.push({ queue, first, count, resolve, reject });
      if (this.#isPublishScheduled) return;
      this.#isPublishScheduled = true;
      setImmediate(() => this.#commitPublishes());
    });
  }

  async consume(sink: DeliverySink): Promise<void> {
    this.#sink = sink;
    this.#scheduleConsume();
  }

  async close(): Promise<void> {
    this.#sink = undefined;
    this.#database.close();
  }

  #commitPublishes(): void {
    this.#isPublishScheduled = false;
    let error: unknown;
    try {
      this.#publishAll();
    } catch (caught) {
      error = caught ?? new Error("the transaction failed");
    }
    const publishes = this.#publishes;
    this.#publishes = [];
    for (const publish of publishes) {
      if (error !== undefined) publish.reject(error);
      else {
        this.#ready[publish.queue]! += publish.count;
        publish.resolve();
      }
    }
    this.#scheduleConsume();
  }

  #insertPending(): void {
    for (const { queue, first, count } of this.#publishes) {
      const bodies = this.#bodies[queue]!;
      for (let number = first; number < first + count; number++) this.#insert.run(queue, bodies.body(number));
    }
  }

  #scheduleConsume(): void {
    if (this.#isConsumeScheduled || this.#sink === undefined) return;
    this.#isConsumeScheduled = true;
    setImmediate(() => this.#consumeOnce());
  }

  #consumeOnce(): void {
    this.#isConsumeScheduled = false;
    const sink = this.#sink;
    if (sink === undefined) return;
    const settled = this.#claimed.map((rows) => rows.length);
    try {
      this.#settleAndClaim();
    } catch (error) {
      sink.failed(error);
      return;
    }
    let claimed = 0;
    for (let queue = 0; queue < this.#claimed.length; queue++) {
      const rows = this.#claimed[queue]!;
      claimed += rows.length;
      for (const row of rows) sink.handled(queue, readBody(queue, row.body));
      if (settled[queue]! > 0) sink.acked(queue, settled[queue]!);
    }
    if (claimed > 0) this.#scheduleConsume();
  }

  #removeAndClaim(): void {
    const nowMs = Date.now();
    for (let queue = 0; queue < this.#claimed.length; queue++) {
      for (const row of this.#claimed[queue]!) this.#remove.run(row.id);
      this.#claimed[queue] = [];
      if (this.#ready[queue] === 0) continue;
      const rows = this.#claim.all(nowMs + LEASE_MS, queue, nowMs, this.#depth) as ClaimedRow[];
      this.#claimed[queue] = rows;
      this.#ready[queue]! -= rows.length;
    }
  }
}

export const sqlite: BenchEngine = {
  name: "sqlite",
  durable: `SQLite in WAL mode, synchronous FULL: synced before publish returns; ${BODY_BYTES}-byte rows are removed when settled`,
  isSynced: true,
  hasPublishPhase: true,
  publishBatch: (depth) => depth,
  async open(setup) {
    const database = new (loadPeer<DatabaseClass>("better-sqlite3"))(join(setup.directory, "queue.db"));
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    database.exec(SCHEMA);
    return new SqliteSession(database, setup);
  },
};
