// The runs of the demo in a data directory: which were begun and never finished, and where their messages lie.

import type { Bus } from "../../index.js";
import { RUN_TOPIC, type RunClosed, type RunOpened } from "./shop-types.js";

/** The runs that were opened and not closed, the oldest first. */
export async function readRuns(bus: Bus): Promise<RunOpened[]> {
  const open = new Map<string, RunOpened>();
  if ((await topicEnd(bus, RUN_TOPIC)) === 0) return [];
  for await (const message of bus.topic(RUN_TOPIC).read({ from: "beginning" })) {
    if (message.subject === "run.opened") {
      const opened = message.json<RunOpened>();
      open.set(opened.run, opened);
    } else {
      open.delete(message.json<RunClosed>().run);
    }
  }
  return [...open.values()];
}

/** The offset that the next message of a topic gets; 0 when there is no such topic. */
export async function topicEnd(bus: Bus, name: string): Promise<number> {
  const { topics } = await bus.statistics();
  return topics.find((topic) => topic.name === name)?.partitions[0]?.highWatermark ?? 0;
}
