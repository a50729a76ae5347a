// Subjects of NATS and subjects of the broker: a bijection. Tokens are levels; text without a special character is the
// same on both sides.

import { isUtf8 } from "node:buffer";
import { formatSubject, parsePattern, parseSubject } from "../../broker/subject.js";

/** What NATS text may hold that means something else in canonical text, or is written for something else. */
const SPECIAL_IN_NATS = /[\\*#>%]/;
/** The same the other way round: a level of canonical text may hold a dot or a space, which end a token of NATS. */
const SPECIAL_IN_CANONICAL = /[\\% ]/;
/**
 * A dot is `%2E` and a space `%20`. Text that already looks so gets a `25` after its percent sign, and one more for each
 * that it has: so every text has one spelling, and every spelling one text.
 */
const ESCAPED = /%((?:25)*)(2E|20)/g;
const ESCAPED_OR_PLAIN = /%((?:25)*)(2E|20)|[. ]/g;
/** The subject without levels, which NATS has no text for. */
const NO_LEVELS = /^%((?:25)*)00$/;
/** The longest subject that the broker takes, in characters. */
const LENGTH_MAX = 1024;
const CONTROL_CHARACTER = /\p{Cc}/u;

/** The text of a subject on the wire; undefined for bytes that no subject of the broker stands for. */
export function subjectText(bytes: Buffer): string | undefined {
  const text = bytes.toString("utf8");
  if (text.length > LENGTH_MAX || CONTROL_CHARACTER.test(text) || !isUtf8(bytes)) return undefined;
  return text;
}

/** The canonical text of a subject to publish to: `*` and `>` are ordinary characters in it. */
export function toCanonicalSubject(text: string): string {
  if (!SPECIAL_IN_NATS.test(text)) return text;
  const empty = NO_LEVELS.exec(text);
  if (empty?.[1] === "") return "";
  if (empty !== null) return `%${empty[1]!.slice(2)}00`;
  return formatSubject(text.split(".").map(unescapeToken));
}

/** The subject as NATS writes it. Errors: INVALID_SUBJECT for what is not canonical text. */
export function fromCanonicalSubject(subject: string): string {
  if (subject === "") return "%00";
  if (!SPECIAL_IN_CANONICAL.test(subject)) return subject;
  const empty = NO_LEVELS.exec(subject);
  if (empty !== null) return `%25${empty[1]}00`;
  return parseSubject(subject).map(escapeLevel).join(".");
}

/** The canonical text of what a client subscribes to; undefined when NATS does not take it. */
export function toCanonicalPattern(text: string): string | undefined {
  const tokens = text.split(".");
  for (const [index, token] of tokens.entries())
    if (token === "" || (token === ">" && index < tokens.length - 1)) return undefined;
  if (!SPECIAL_IN_NATS.test(text)) return text;
  const pattern = tokens
    .map((token) => (token === "*" || token === ">" ? token : formatSubject([unescapeToken(token)])))
    .join(".");
  return pattern.length > LENGTH_MAX ? undefined : pattern;
}

/** Whether a pedantic client may publish to it. */
export function isLiteral(text: string): boolean {
  return text.split(".").every((token) => token !== "" && token !== "*" && token !== ">");
}

/** The nodes of a canonical pattern, for a trie. Errors: INVALID_SUBJECT. */
export const patternNodes = parsePattern;

/** The levels of a canonical subject. Errors: INVALID_SUBJECT. */
export const subjectLevels = parseSubject;

function unescapeToken(token: string): string {
  return token.replace(ESCAPED, (_all, more: string, code: string) => {
    if (more !== "") return `%${more.slice(2)}${code}`;
    return code === "2E" ? "." : " ";
  });
}

function escapeLevel(level: string): string {
  return level.replace(ESCAPED_OR_PLAIN, (all, more: string | undefined, code: string | undefined) => {
    if (code !== undefined) return `%25${more}${code}`;
    return all === "." ? "%2E" : "%20";
  });
}
