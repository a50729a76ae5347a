// Takes a TypeScript source apart as far as the rules need: code, comments, strings and imports, each with its line.

/** A comment or a string, and the line on which it begins. */
export interface Passage {
  readonly text: string;
  readonly line: number;
}

export class SourceText {
  readonly path: string;
  readonly lineCount: number;
  /** The source with the insides of comments, strings and regular expressions blanked; positions are unchanged. */
  readonly code: string;
  readonly comments: readonly Passage[];
  readonly strings: readonly Passage[];
  /** The specifiers of `import`, `export ... from` and `import()`, and `""` where one is computed. */
  readonly imports: readonly Passage[];
  readonly #lineStarts: readonly number[];

  constructor(path: string, text: string) {
    this.path = path;
    this.#lineStarts = lineStartsOf(text);
    this.lineCount = text.endsWith("\n") ? this.#lineStarts.length - 1 : this.#lineStarts.length;
    const parts = new Scanner(text).scan();
    const passages = (spans: readonly Span[]): Passage[] =>
      spans.map(({ start, end }) => ({ text: text.slice(start, end), line: this.lineAt(start) }));
    this.code = parts.code;
    this.comments = passages(parts.comments);
    this.strings = passages(parts.strings);
    this.imports = passages(importSpans(parts.code));
  }

  /** The line, from 1, that holds a position of {@link code}. */
  lineAt(position: number): number {
    let low = 0;
    let high = this.#lineStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#lineStarts[middle] ?? 0) <= position) low = middle;
      else high = middle;
    }
    return low + 1;
  }
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

const IMPORT_PATTERNS = [
  /\b(?:import|export)\b[\s\w$*{},]*?\bfrom\s*(?=["'])/g,
  /\bimport\s*(?=["'])/g,
  /\bimport\s*\(\s*/g,
];

const LITERAL = /"[^"]*"|'[^']*'|`[^`$]*`/y;
const AFTER_ARGUMENT = /^\s*[),]/;

/** Where specifiers lie. Quotes are left standing in `code`. A computed one gives an empty span. */
function importSpans(code: string): Span[] {
  const spans: Span[] = [];
  for (const pattern of IMPORT_PATTERNS) {
    for (const match of code.matchAll(pattern)) {
      const open = match.index + match[0].length;
      LITERAL.lastIndex = open;
      const literal = LITERAL.exec(code)?.[0];
      const isWhole =
        literal !== undefined &&
        (!match[0].includes("(") || AFTER_ARGUMENT.test(code.slice(open + literal.length)));
      spans.push(isWhole ? { start: open + 1, end: open + literal.length - 1 } : { start: open, end: open });
    }
  }
  return spans.sort((a, b) => a.start - b.start);
}

/** Words after which a slash begins a regular expression, although they look like a value. */
const BEFORE_EXPRESSION =
  /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield)$/;

/** One pass over a source. Blanks what is not code. */
class Scanner {
  readonly #text: string;
  readonly #code: string[];
  readonly #comments: Span[] = [];
  readonly #strings: Span[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#code = text.split("");
  }

  scan(): { code: string; comments: Span[]; strings: Span[] } {
    this.#codeUntil("");
    return { code: this.#code.join(""), comments: this.#comments, strings: this.#strings };
  }

  /** Reads code up to the closing brace of a template's `${`, or to the end when `closer` is empty. */
  #codeUntil(closer: "" | "}"): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at] ?? "";
      if (character === "{") depth += 1;
      if (character === "}" && closer === "}" && depth === 0) return;
      if (character === "}") depth -= 1;
      if (character === '"' || character === "'") this.#string(character);
      else if (character === "`") this.#template();
      else if (character === "/") this.#slash();
      else this.#at += 1;
    }
  }

  #slash(): void {
    const next = this.#text[this.#at + 1];
    if (next === "/") this.#comment("\n", 0);
    else if (next === "*") this.#comment("*/", 2);
    else if (this.#isRegularExpression()) this.#regularExpression();
    else this.#at += 1;
  }

  #comment(ending: string, endingLength: number): void {
    const start = this.#at;
    const found = this.#text.indexOf(ending, start + 2);
    this.#at = found < 0 ? this.#text.length : found + endingLength;
    this.#comments.push({ start, end: this.#at });
    this.#blank(start, this.#at);
  }

  #string(quote: string): void {
    const start = this.#at + 1;
    this.#at = start;
    while (this.#at < this.#text.length && this.#text[this.#at] !== quote && this.#text[this.#at] !== "\n") {
      this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
    }
    this.#endString(start);
    this.#at += 1;
  }

  #template(): void {
    let start = this.#at + 1;
    this.#at = start;
    while (this.#at < this.#text.length && this.#text[this.#at] !== "`") {
      if (this.#text.startsWith("${", this.#at)) {
        this.#endString(start);
        this.#at += 2;
        this.#codeUntil("}");
        start = this.#at + 1;
      }
      this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
    }
    this.#endString(start);
    this.#at += 1;
  }

  #endString(start: number): void {
    const end = Math.min(this.#at, this.#text.length);
    if (end > start) this.#strings.push({ start, end });
    this.#blank(start, end);
  }

  /** A slash after a value divides; anywhere else it begins a regular expression. */
  #isRegularExpression(): boolean {
    const before = this.#code
      .slice(Math.max(0, this.#at - 200), this.#at)
      .join("")
      .trimEnd();
    return !/[\w$)\]}"'`]$/.test(before) || BEFORE_EXPRESSION.test(before);
  }

  #regularExpression(): void {
    const start = this.#at + 1;
    this.#at = start;
    let isClass = false;
    while (this.#at < this.#text.length && this.#text[this.#at] !== "\n") {
      const character = this.#text[this.#at];
      if (character === "/" && !isClass) break;
      if (character === "[") isClass = true;
      if (character === "]") isClass = false;
      this.#at += character === "\\" ? 2 : 1;
    }
    this.#endString(start);
    this.#at += 1;
  }

  #blank(start: number, end: number): void {
    for (let at = start; at < end; at++) if (this.#code[at] !== "\n") this.#code[at] = " ";
  }
}
