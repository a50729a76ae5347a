// The tutorials of RabbitMQ and NATS, run by real clients: what a program sees of Omnibus is what it sees of the server that
// it was written for.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  missingNatsServer,
  missingRabbitMq,
  type RunningServer,
  startNatsServer,
  startOmnibus,
  startRabbitMq,
} from "../support/real-servers.js";
import { amqpPrograms, natsPrograms } from "./programs.js";

const started: Promise<RunningServer>[] = [];
after(async () => {
  for (const server of started) await (await server).stop();
});

/** Starts the server when it is first asked for, and ends it with the tests. */
function shared<Server extends RunningServer>(start: () => Promise<Server>): () => Promise<Server> {
  let server: Promise<Server> | undefined;
  return () => {
    if (server === undefined) {
      server = start();
      started.push(server);
    }
    return server;
  };
}

const omnibus = shared(() => startOmnibus());
const rabbitMq = shared(startRabbitMq);
const natsServer = shared(() => startNatsServer());

/** What the tutorials of RabbitMQ say that one sees. */
const TUTORIALS = {
  hello: ["Hello World!"],
  "work queues": {
    done: ["Fifth.....", "First.", "Fourth....", "Second..", "Third..."],
    again: ["First."],
    left: 0,
  },
  "publish/subscribe": [
    ["one", "two"],
    ["one", "two"],
  ],
  routing: [
    ["warning", "a warning"],
    ["error", "a error"],
  ],
  topics: {
    orange: ["quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox"],
    rabbits: [
      "quick.orange.rabbit",
      "lazy.orange.elephant",
      "lazy.brown.fox",
      "lazy.pink.rabbit",
      "lazy.orange.new.rabbit",
    ],
  },
  rpc: { "a queue": [["ask-1", "55"]], "direct reply-to": [["ask-1", "55"]] },
  "publisher confirms": {
    numbers: Array.from({ length: 20 }, (_, number) => number),
    refused: [312, "NO_ROUTE"],
  },
};

for (const program of await amqpPrograms()) {
  const skip = program.missing || missingRabbitMq();
  test(`${program.client} sees of Omnibus what it sees of RabbitMQ`, { skip }, async () => {
    const seen = await program.run((await omnibus()).url);
    assert.deepEqual(seen, TUTORIALS);
    assert.deepEqual(await program.run((await rabbitMq()).url), seen);
  });
}

for (const program of await natsPrograms()) {
  const skip = program.missing || missingNatsServer();
  test(`${program.client} sees of Omnibus what it sees of nats-server`, { skip }, async () => {
    const seen = await program.run((await omnibus()).natsUrl);
    assert.ok(isComplete(seen));
    assert.deepEqual(await program.run((await natsServer()).url), seen);
  });
}

/** Whether the program did all of its parts. */
function isComplete(seen: unknown): boolean {
  const parts = ["publish/subscribe", "queue group", "request/reply"];
  return parts.every((part) => part in (seen as Record<string, unknown>));
}
