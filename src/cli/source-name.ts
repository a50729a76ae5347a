// Names that people type for a queue, a topic, or a group of a topic written `topic/group`, and what has such a name.

import type { Bus } from "../index.js";
import { EXIT } from "./exit-codes.js";
import { CommandFailure } from "./failure.js";

/** What a name stands for. */
export type Named =
  | { readonly kind: "queue"; readonly name: string }
  | { readonly kind: "topic"; readonly name: string }
  | { readonly kind: "group"; readonly name: string; readonly topic: string; readonly group: string };

/** A queue or a group. Errors: 66 when it is not there, 2 for a topic: one of its groups has to be named. */
export function findSource(bus: Bus, name: string): Extract<Named, { kind: "queue" | "group" }> {
  const found = findNamed(bus, name, undefined);
  if (found.kind !== "topic") return found;
  throw new CommandFailure(
    EXIT.usage,
    `${name} is a topic: say which of its groups`,
    `write it as ${name}/<group>; \`omnibus groups\` shows them`,
  );
}

/** A group, written `topic/group`. Errors: 66 when it is not there, 2 when it is no group. */
export function findGroup(bus: Bus, name: string): Extract<Named, { kind: "group" }> {
  const found = findSource(bus, name);
  if (found.kind === "group") return found;
  throw new CommandFailure(
    EXIT.usage,
    `${name} is a queue: what was handled in a queue is gone, and only groups can be moved`,
    "`omnibus groups` shows the groups; `omnibus dead replay` hands dead letters out again",
  );
}

/** Errors: 66 when it is not there, 2 when a queue and a topic have the name and `kind` does not say which. */
export function findNamed(bus: Bus, name: string, kind: "queue" | "topic" | undefined): Named {
  const { queues, topics } = bus.statistics();
  const [topicName, group] = split(name);
  const topic = topics.find((candidate) => candidate.name === topicName);
  if (group !== undefined) {
    if (topic?.groups.some((candidate) => candidate.name === group) === true)
      return { kind: "group", name, topic: topicName, group };
    throw notThere(`there is no group ${name}`, "groups");
  }
  const isQueue = kind !== "topic" && queues.some((queue) => queue.name === name);
  const isTopic = kind !== "queue" && topic !== undefined;
  if (isQueue && isTopic)
    throw new CommandFailure(EXIT.usage, `${name} is a queue and a topic`, "say which with --kind");
  if (isQueue) return { kind: "queue", name };
  if (isTopic) return { kind: "topic", name };
  throw notThere(`there is no ${kind ?? "queue or topic"} ${name}`, "queues` and `omnibus topics");
}

function split(name: string): [topic: string, group: string | undefined] {
  const slash = name.indexOf("/");
  return slash < 0 ? [name, undefined] : [name.slice(0, slash), name.slice(slash + 1)];
}

function notThere(sentence: string, command: string): CommandFailure {
  return new CommandFailure(EXIT.notFound, sentence, `\`omnibus ${command}\` show those that are there`);
}
