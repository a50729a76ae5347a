// Reads what the tests of the documentation hold against the sources: links, headings, paths, tables, code blocks.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder, seen from dist/test/docs/. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));

/** One page: its path in the project, and its text. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** Every page of the documentation. */
export function allPages(): Page[] {
  const inDocs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name.split("\\").join("/")}`);
  return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...inDocs.sort()].map(page);
}

export function page(path: string): Page {
  return { path, text: readFileSync(join(root, path), "utf8") };
}

/** The code blocks of one language, in order. */
export function codeBlocks({ text }: Page, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, of]) => of === language)
    .map(([, , code]) => code!);
}

/** Targets of links that lead to no other host, as they are written. */
export function relativeLinks(of: Page): string[] {
  const prose = withoutCode(of.text);
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((t) => !/^[a-z]+:/.test(t));
}

/** What is wrong with a link on `from`; undefined when it leads somewhere. */
export function linkFault(from: Page, link: string): string | undefined {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? from.path : posix.normalize(posix.join(posix.dirname(from.path), path));
  if (!existsSync(join(root, target))) return `${target} is not there`;
  if (anchor === undefined) return undefined;
  return anchors(page(target)).includes(anchor) ? undefined : `${target} has no heading #${anchor}`;
}

/** Paths into the project that the page names in code quotes; patterns and placeholders are none. */
export function namedPaths({ text }: Page): string[] {
  const prose = text.replace(/^```.*?^```$/gms, "");
  return [...prose.matchAll(/`((?:src|test|bench|examples|scripts|docs)\/[^`\s]*)`/g)]
    .map(([, path]) => path!)
    .filter((path) => !/[*<>{}]/.test(path));
}

/** The cells of every table row, without heads and rules. A cell is trimmed. */
export function tableRows(text: string): string[][] {
  const rows: string[][] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith("|")) continue;
    if (/^\|[\s:|-]+\|$/.test(line)) rows.pop();
    else
      rows.push(
        line
          .slice(1, -1)
          .split("|")
          .map((cell) => cell.trim()),
      );
  }
  return rows;
}

/** The page's text from a heading up to the next one of the same level. */
export function section({ path, text }: Page, heading: string): string {
  const start = text.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`${path} has no heading '${heading}'`);
  const level = heading.slice(0, heading.indexOf(" "));
  const end = text.indexOf(`\n${level} `, start + heading.length);
  return text.slice(start, end === -1 ? undefined : end);
}

/** What stands in code quotes. */
export function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
}

/** The names of a folder's own files and folders. */
export function namesIn(folder: string): string[] {
  return readdirSync(join(root, folder)).sort();
}

/** Every file in a folder and the folders in it. */
export function namesBelow(folder: string): string[] {
  const found = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));
}

export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

export function exists(path: string): boolean {
  return existsSync(join(root, path)) && existsSync(join(root, dirname(path)));
}

/** As GitHub makes them of headings. */
function anchors({ text }: Page): string[] {
  return [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function withoutCode(text: string): string {
  return text.replace(/^```.*?^```$/gms, "");
}
