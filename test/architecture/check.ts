// Holds sources against the rules. Knows nothing of the disk, so that made-up sources can be checked too.

import {
  dividedRoom,
  formatCitation,
  importedByAll,
  linesMax,
  mayImport,
  neutralRooms,
  protocolWord,
  worldRules,
} from "./rules.js";
import { type Passage, SourceText } from "./source-text.js";

/** Checks sources, given by their path from the project's folder. Each violation reads `file:line: what (rule)`. */
export function violations(sources: ReadonlyMap<string, string>): string[] {
  const files = [...sources].map(([path, text]) => new SourceText(path, text));
  return [
    ...files.flatMap(importViolations),
    ...files.flatMap(worldViolations),
    ...files.flatMap(neutralityViolations),
    ...files.flatMap(lengthViolations),
    ...cycleViolations(files),
  ];
}

function violation(path: string, line: number, what: string, rule: string): string {
  return `${path}:${line}: ${what} (${rule})`;
}

/** `src/log/segment.ts` lies in `log`, `src/index.ts` in `index`. */
function roomOf(path: string): string {
  const [, first = ""] = path.split("/");
  return first.replace(/\.ts$/, "");
}

/** The source that a relative import names, or undefined for a package or a built-in module. */
function targetOf(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const parts = path.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/").replace(/\.js$/, ".ts");
}

function importViolations(file: SourceText): string[] {
  const room = roomOf(file.path);
  const allowed = mayImport[room];
  if (allowed === undefined) {
    return [
      violation(
        file.path,
        1,
        `${room} is no room of the house`,
        "every folder of src/ has a row in mayImport",
      ),
    ];
  }
  return file.imports.flatMap(({ text: specifier, line }) => {
    const say = (what: string, rule: string): string[] => [violation(file.path, line, what, rule)];
    if (specifier === "")
      return say("imports what is computed", "a specifier is a literal, so that it can be checked");
    if (/^omnibus(?:\/|$)/.test(specifier))
      return say(`imports "${specifier}"`, "src/ imports itself by path");
    const target = targetOf(file.path, specifier);
    if (target === undefined) return [];
    if (!target.startsWith("src/")) return say(`imports ${target}`, "src/ imports nothing outside of itself");
    const targetRoom = roomOf(target);
    if (targetRoom === room)
      return neighbourViolation(file.path, target) ? say(`imports ${target}`, ruleApart) : [];
    if (allowed.includes(targetRoom) || importedByAll.includes(targetRoom)) return [];
    const names = [...allowed, ...importedByAll].join(", ");
    return say(`imports ${target}`, `${room} imports only ${names}`);
  });
}

const ruleApart = `what lies in one folder of ${dividedRoom}/ never imports another`;

function neighbourViolation(path: string, target: string): boolean {
  const [, room, own] = path.split("/");
  return room === dividedRoom && own !== target.split("/")[2];
}

function worldViolations(file: SourceText): string[] {
  return worldRules.flatMap((rule) => {
    if (rule.allowed.some((path) => path.test(file.path))) return [];
    const modules = file.imports.filter(({ text }) => rule.modules.includes(moduleOf(text)));
    const uses: Passage[] = rule.code.flatMap((pattern) =>
      [...file.code.matchAll(pattern)].map((match) => ({ text: match[0], line: file.lineAt(match.index) })),
    );
    return [...modules, ...uses].map(({ text, line }) =>
      violation(
        file.path,
        line,
        `touches ${text}`,
        `${rule.what}: only ${rule.allowed.map(readable).join(", ")}`,
      ),
    );
  });
}

function moduleOf(specifier: string): string {
  return specifier.replace(/^node:/, "").split("/")[0] ?? "";
}

function readable(path: RegExp): string {
  return path.source
    .replaceAll("\\/", "/")
    .replaceAll("[^/]+", "*")
    .replaceAll("\\.", ".")
    .replace(/^\^|\$$/g, "");
}

function neutralityViolations(file: SourceText): string[] {
  const room = roomOf(file.path);
  if (!neutralRooms.includes(room)) return [];
  const isCitation = ({ text }: Passage): boolean =>
    room === formatCitation.room && formatCitation.comment.test(text);
  const passages = [
    { text: file.path, line: 1 },
    ...file.code.split("\n").map((text, index) => ({ text, line: index + 1 })),
    ...file.strings,
    ...adjoined(file.comments).filter((comment) => !isCitation(comment)),
  ];
  return passages.flatMap(({ text, line }) =>
    (asWords(text).match(protocolWord) ?? []).map((word) =>
      violation(file.path, line, `says "${word}"`, "broker/ and log/ know no protocol"),
    ),
  );
}

/** Comments on lines that follow each other are read as one. */
function adjoined(comments: readonly Passage[]): Passage[] {
  const joined: { text: string; line: number; nextLine: number }[] = [];
  for (const { text, line } of comments) {
    const last = joined.at(-1);
    const nextLine = line + text.split("\n").length;
    if (last?.nextLine === line) {
      last.text += `\n${text}`;
      last.nextLine = nextLine;
    } else {
      joined.push({ text, line, nextLine });
    }
  }
  return joined;
}

/** Divides names like `kafkaOffset` and `NATS_URL` into their words. */
function asWords(text: string): string {
  return text.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ");
}

function lengthViolations(file: SourceText): string[] {
  if (file.lineCount <= linesMax) return [];
  const what = `has ${file.lineCount} lines`;
  return [violation(file.path, linesMax + 1, what, `at most ${linesMax}: ask which two things it is`)];
}

/** Each group of files that reach each other is reported once, by a path through it. */
function cycleViolations(files: readonly SourceText[]): string[] {
  const edges = new Map(files.map((file) => [file.path, targetsOf(file)]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const seenAt = trail.indexOf(path);
    if (seenAt >= 0) {
      const cycle = [...trail.slice(seenAt), path];
      const line = edges.get(trail.at(-1) ?? path)?.get(path) ?? 1;
      found.push(
        violation(trail.at(-1) ?? path, line, `closes ${cycle.join(" -> ")}`, "no cycle between files"),
      );
      return;
    }
    if (done.has(path)) return;
    for (const target of edges.get(path)?.keys() ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}

function targetsOf(file: SourceText): Map<string, number> {
  const targets = new Map<string, number>();
  for (const { text, line } of file.imports) {
    const target = targetOf(file.path, text);
    if (target !== undefined) targets.set(target, line);
  }
  return targets;
}
