// The address of a message and what matches it. Canonical text: levels joined by dots; inside a level a backslash
// makes the next character ordinary, so that `a\.b` is one level and `\*` is a star.

import { BrokerError } from "../broker-error.js";
import { ONE_LEVEL, ONE_OR_MORE, type PatternNode, ZERO_OR_MORE } from "../collections/pattern-trie.js";

const LAST_CONTROL = 0x1f;
const HASH = 0x23;
const STAR = 0x2a;
const DOT = 0x2e;
const GREATER = 0x3e;
const BACKSLASH = 0x5c;
const DELETE = 0x7f;
/** The longest subject or pattern, in characters of its canonical text. */
const SUBJECT_LENGTH_MAX = 1024;
/** What the subjects of inboxes begin with: what is published there is only live, and no pattern matches it. */
export const INBOX_PREFIX = "_inbox.";
/** Control characters, and halves of characters, which would be stored as something else. */
const NOT_A_LEVEL_CHARACTER = /[\p{Cc}\p{Cs}]/u;

/**
 * Hot: the levels of a subject that has nothing but ASCII characters which stand for themselves, so that it is its own
 * canonical text. Undefined for any other text.
 */
export function plainLevels(subject: string): string[] | undefined {
  const length = typeof subject === "string" ? subject.length : 0;
  if (length === 0 || length > SUBJECT_LENGTH_MAX) return undefined;
  const levels: string[] = [];
  let start = 0;
  for (let at = 0; at < length; at += 1) {
    const code = subject.charCodeAt(at);
    if (code === DOT) {
      levels.push(subject.slice(start, at));
      start = at + 1;
    } else if (code <= LAST_CONTROL || code >= DELETE || code === BACKSLASH) return undefined;
    else if (code === STAR || code === HASH || code === GREATER) return undefined;
  }
  levels.push(subject.slice(start));
  return levels;
}

/** Levels of a canonical subject: none of the empty text. Levels may be empty. Errors: INVALID_SUBJECT. */
export function parseSubject(subject: string): string[] {
  return plainLevels(subject) ?? splitLevels(subject, "subject").map(unescapeLevel);
}

/** The canonical text of `levels`; {@link parseSubject} gives them back, except of a single empty one. */
export function formatSubject(levels: readonly string[]): string {
  return levels.map((level) => level.replace(/[\\.]/g, "\\$&").replace(/^[*>#]$/, "\\$&")).join(".");
}

/**
 * Compiles the text of a pattern: `*` is one level, `#` any number of levels, none included, and `>`, which must
 * stand last, one level or more. Errors: INVALID_SUBJECT.
 */
export function parsePattern(pattern: string): PatternNode[] {
  const levels = splitLevels(pattern, "pattern");
  return levels.map((level, index) => {
    if (level === "*") return ONE_LEVEL;
    if (level === "#") return ZERO_OR_MORE;
    if (level !== ">") return unescapeLevel(level);
    if (index !== levels.length - 1)
      throw invalid(
        pattern,
        "pattern",
        "has '>' before its last level; use '*' for one level or '#' for any number",
      );
    return ONE_OR_MORE;
  });
}

/**
 * What applications publish to: not the empty subject, no empty level, and no name that would read as a pattern, which
 * nobody who publishes means. Errors: INVALID_SUBJECT.
 */
export function assertPublishable(subject: string): void {
  assertNotEmpty(subject, "subject");
  if (assertPlain(subject).includes(""))
    throw invalid(subject, "subject", "has an empty level; remove the doubled, leading or trailing dot");
}

/** Refuses a name that would read as a pattern. Returns its levels. Errors: INVALID_SUBJECT. */
export function assertPlain(subject: string): string[] {
  const levels = splitLevels(subject, "subject");
  for (const level of levels) {
    if (level === "*" || level === "#" || level === ">") {
      throw invalid(
        subject,
        "subject",
        `has the wildcard '${level}' as a level; publish to a plain name, or escape it as '\\${level}'`,
      );
    }
  }
  return levels;
}

/** What applications ask for: any pattern but the empty one. Errors: INVALID_SUBJECT. */
export function assertPattern(pattern: string): void {
  assertNotEmpty(pattern, "pattern");
  parsePattern(pattern);
}

function assertNotEmpty(text: string, what: "subject" | "pattern"): void {
  if (text === "") throw invalid(text, what, "is empty; give at least one level");
}

function splitLevels(text: string, what: "subject" | "pattern"): string[] {
  if (typeof text !== "string") throw invalid(String(text), what, "is no text; give at least one level");
  if (text === "") return [];
  if (text.length > SUBJECT_LENGTH_MAX)
    throw invalid(`${text.slice(0, 60)}...`, what, `is longer than ${SUBJECT_LENGTH_MAX} characters`);
  if (NOT_A_LEVEL_CHARACTER.test(text))
    throw invalid(JSON.stringify(text), what, "holds a control character, or half of a character");
  return text.includes("\\") ? splitEscaped(text, what) : text.split(".");
}

function splitEscaped(text: string, what: "subject" | "pattern"): string[] {
  const levels: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\") {
      at += 1;
      if (at === text.length)
        throw invalid(text, what, "ends in a lone backslash; write two for a backslash");
    } else if (text[at] === ".") {
      levels.push(text.slice(start, at));
      start = at + 1;
    }
  }
  levels.push(text.slice(start));
  return levels;
}

function unescapeLevel(level: string): string {
  return level.includes("\\") ? level.replace(/\\(.)/gsu, "$1") : level;
}

function invalid(text: string, what: "subject" | "pattern", problem: string): BrokerError {
  return new BrokerError("INVALID_SUBJECT", `The ${what} '${text}' ${problem}.`, { [what]: text });
}
