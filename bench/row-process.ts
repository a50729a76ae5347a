// The process that measures one row: reads a `RowRequest` from its parent, sends a `RowAnswer`, and ends.

import { once } from "node:events";
import { engineNamed } from "./engines/index.js";
import { Load } from "./load.js";
import type { Row, RowAnswer, RowRequest } from "./row.js";

const CLOSE_MS = 3000;
/** The exit code of a process that Ctrl-C ended. */
const ENDED = 130;

async function measure({ engine: name, shape, timing, directory }: RowRequest): Promise<Row> {
  const engine = engineNamed(name);
  const depth = Math.max(1, Math.floor(shape.depth / shape.queues));
  const session = await engine.open({ directory, queues: shape.queues, depth });
  endWith(() => session.close());
  const result = await new Load(engine, session, shape.queues, depth).run(timing);
  await session.close();
  return { engine: name, ...shape, ...result, durable: engine.durable };
}

/** Ctrl-C, a request to end, or the end of the parent must not leave a server behind, nor an engine that never closes. */
function endWith(close: () => Promise<void>): void {
  let isEnding = false;
  const end = () => {
    if (isEnding) return;
    isEnding = true;
    setTimeout(() => process.exit(ENDED), CLOSE_MS);
    const exit = () => process.exit(ENDED);
    close().then(exit, exit);
  };
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  process.on("disconnect", end);
}

const [request] = await once(process, "message");
const answer: RowAnswer = await measure(request as RowRequest).then(
  (row) => ({ row }),
  (error) => ({ error: error instanceof Error ? error.message : String(error) }),
);
process.send?.(answer, () => process.exit(0));
