// Header blocks of NATS: a version line that may carry a status, a line for each header, and an empty line.

/** The first line of a block without a status. */
const VERSION_LINE = "NATS/1.0\r\n";
const VERSION = Buffer.from("NATS/1.0");
const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;
const COLON = 58;

/** Its name as written, and the bytes after the colon without the blanks around them. */
export type WireHeader = readonly [name: string, value: Buffer];

export interface HeaderBlock {
  readonly headers: readonly WireHeader[];
  /** What stands after the version, such as `503`; empty in most. */
  readonly status: string;
}

/** Views of `block`; undefined when it is no header block. */
export function parseHeaderBlock(block: Buffer): HeaderBlock | undefined {
  if (!block.subarray(0, VERSION.length).equals(VERSION)) return undefined;
  let lineEnd = lineEndFrom(block, VERSION.length);
  if (lineEnd < 0) return undefined;
  const status = block.toString("utf8", VERSION.length, lineEnd).trim();
  const headers: WireHeader[] = [];
  for (let at = lineEnd + 2; at < block.length; at = lineEnd + 2) {
    lineEnd = lineEndFrom(block, at);
    if (lineEnd < 0) return undefined;
    if (lineEnd === at) return lineEnd + 2 === block.length ? { headers, status } : undefined;
    const colon = block.indexOf(COLON, at);
    // A carriage return within a name could end a line where headers are written.
    if (colon <= at || colon > lineEnd || block.indexOf(CR, at) < colon) return undefined;
    headers.push([block.toString("utf8", at, colon), trimmed(block, colon + 1, lineEnd)]);
  }
  return undefined;
}

/** {@link parseHeaderBlock} gives `headers` back when their values begin and end without a blank. */
export function formatHeaderBlock(headers: readonly WireHeader[]): Buffer {
  const parts: Buffer[] = [Buffer.from(VERSION_LINE)];
  for (const [name, value] of headers) parts.push(Buffer.from(`${name}: `), value, END_OF_LINE);
  parts.push(END_OF_LINE);
  return Buffer.concat(parts);
}

const END_OF_LINE = Buffer.from("\r\n");

/** Where the line ends that `from` is in: at its CR. -1 when it does not end. */
function lineEndFrom(block: Buffer, from: number): number {
  const lf = block.indexOf(LF, from);
  return lf > from - 1 && lf > 0 && block[lf - 1] === CR && lf - 1 >= from ? lf - 1 : -1;
}

function trimmed(block: Buffer, from: number, to: number): Buffer {
  let start = from;
  let end = to;
  while (start < end && isBlank(block[start]!)) start += 1;
  while (end > start && isBlank(block[end - 1]!)) end -= 1;
  return block.subarray(start, end);
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}
