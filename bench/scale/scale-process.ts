// The process that answers one question of `bench scale`: reads a `ScaleRequest` from its parent, sends a `ScaleAnswer`, and
// ends without closing what is open.

import { once } from "node:events";
import { questions, type ScaleAnswer, type ScaleRequest } from "./questions.js";

async function answerOf({ question, directory, asked }: ScaleRequest): Promise<unknown> {
  const answer = questions[question] as (directory: string, ...asked: readonly unknown[]) => Promise<unknown>;
  return await answer(directory, ...asked);
}

const [request] = await once(process, "message");
const answer: ScaleAnswer = await answerOf(request as ScaleRequest).then(
  (found) => ({ answer: found }),
  (error: unknown) => ({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
);
process.send?.(answer, () => process.kill(process.pid, "SIGKILL"));
