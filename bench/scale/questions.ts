// What `bench scale` asks a process of its own, and what that answers.

import { drain, fillBacklog, flow, reopen } from "./backlog.js";
import { budget } from "./budgets.js";
import { coldReader } from "./cold-reader.js";
import { byBacklog, byQueues, bySubscriptions } from "./growth.js";
import { unawaited } from "./unawaited.js";

/** Each works below the directory that it is given first. */
export const questions = {
  fillBacklog,
  reopen,
  drain,
  flow,
  coldReader,
  byBacklog,
  byQueues,
  bySubscriptions,
  budget,
  unawaited,
};

export type Questions = typeof questions;
export type Question = keyof Questions;

/** What is asked after the directory. */
export type Asked<Q extends Question> = Questions[Q] extends (directory: string, ...asked: infer A) => unknown
  ? A
  : never;

export interface ScaleRequest {
  readonly question: Question;
  readonly directory: string;
  readonly asked: readonly unknown[];
}

export type ScaleAnswer = { readonly answer: unknown } | { readonly error: string };
