// What is answered over HTTP: whether the server lives, whether it takes work, and its numbers.

import type { IncomingMessage, ServerResponse } from "node:http";

/** Whether work is taken; `reason` says why not. */
export interface Readiness {
  readonly isReady: boolean;
  readonly reason: string;
}

export interface PageSources {
  readiness(): Readiness;
  /** In Prometheus' text format. */
  metrics(): { readonly contentType: string; readonly text: string };
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const PATHS = ["/health/live", "/health/ready", "/metrics"];
const PLAIN = "text/plain; charset=utf-8";

export function answerPage(sources: PageSources, request: IncomingMessage, response: ServerResponse): void {
  const { status, contentType, body } = answer(sources, request);
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(status === 405 ? { allow: "GET, HEAD" } : {}),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

function answer(sources: PageSources, { method, url = "/" }: IncomingMessage): Answer {
  if (method !== "GET" && method !== "HEAD") return plain(405, "Only GET and HEAD.");
  switch (url.split("?")[0]) {
    case "/":
      return plain(200, PATHS.join("\n"));
    case "/health/live":
      return plain(200, "alive");
    case "/health/ready": {
      const { isReady, reason } = sources.readiness();
      return plain(isReady ? 200 : 503, reason);
    }
    case "/metrics": {
      const { contentType, text } = sources.metrics();
      return { status: 200, contentType, body: text };
    }
    default:
      return plain(404, `There is no such page. There are ${PATHS.join(", ")}.`);
  }
}

function plain(status: number, text: string): Answer {
  return { status, contentType: PLAIN, body: `${text}\n` };
}
