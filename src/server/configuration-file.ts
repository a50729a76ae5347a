// A YAML file as values, and the line that each of them stands on.

import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { BrokerError } from "../broker-error.js";

/** Keys and indexes from the top. */
export type ValuePath = readonly (string | number)[];

export class ConfigurationFile {
  /** As it was given. */
  readonly path: string;
  readonly content: unknown;
  readonly #root: unknown;
  readonly #lines: LineCounter;

  /** Errors: INVALID_CONFIGURATION for what is no YAML, or has a key twice. */
  constructor(path: string, text: string) {
    this.path = path;
    this.#lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const [fault] = document.errors;
    if (fault !== undefined) {
      const { line, col } = this.#lines.linePos(fault.pos[0]);
      throw new BrokerError(
        "INVALID_CONFIGURATION",
        `${path}:${line}: this is no YAML: ${fault.message.replace(/\.$/, "")} (column ${col}).`,
        { file: path, line },
      );
    }
    this.content = document.toJS() ?? {};
    this.#root = document.contents;
    if (document.contents !== null && !isMap(document.contents))
      throw new BrokerError("INVALID_CONFIGURATION", `${path}:1: this is no mapping of keys to values.`, {
        file: path,
      });
  }

  /** The line of the key, or of the item, at `path`; of the nearest thing around it, when there is none. */
  lineOf(path: ValuePath): number {
    let node: unknown = this.#root;
    let offset = 0;
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
        if (pair === undefined) break;
        offset = (pair.key as Node).range?.[0] ?? offset;
        node = pair.value;
      } else if (isSeq(node)) {
        const item = node.items[Number(step)];
        if (item === undefined) break;
        offset = (item as Node).range?.[0] ?? offset;
        node = item;
      } else break;
    }
    return this.#lines.linePos(offset).line;
  }
}
