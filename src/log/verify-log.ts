// Reads everything that is stored of one log, as the next open would find it, and says what is wrong. Changes nothing.

import type { Files } from "../io/io.js";
import type { RecoveryPoint } from "./data-directory.js";
import type { JournalPart } from "./journal-entry.js";
import { isLost, type LostOffsets, readLostOffsets } from "./lost-offsets.js";
import { baseOffsetOf, segmentPath } from "./segment.js";
import { SegmentIndex } from "./segment-index.js";
import { type Damage, type SegmentSurvey, surveySegment } from "./segment-survey.js";

/** Something that is not as it should be. */
export interface Finding {
  /** A notice is what a crash may leave, and the next open puts right; damage is not. */
  readonly severity: "damage" | "notice";
  /** Undefined for what concerns no single log. */
  readonly log: string | undefined;
  readonly path: string;
  /** A byte of the file. */
  readonly position: number;
  readonly what: string;
}

/** What the definition of a log says of it. */
export interface LogTraits {
  /** Whether its batches are synced one by one, so that only the last can be torn. */
  readonly isSynced: boolean;
  /** Whether offsets may be missing. */
  readonly isCompacted: boolean;
}

/** What is known of the last segment beside what is in it. */
export interface TailKnowledge {
  readonly point: RecoveryPoint | undefined;
  /** What the next open takes from the journal. */
  readonly parts: readonly JournalPart[];
}

export interface VerifiedSegment {
  readonly baseOffset: number;
  readonly path: string;
  readonly survey: SegmentSurvey;
  /** What has to be taken out of it. */
  readonly damages: readonly Damage[];
}

export interface VerifiedLog {
  readonly name: string;
  readonly segments: readonly VerifiedSegment[];
  readonly findings: readonly Finding[];
  /** Offsets whose records are gone, and that nobody gave up yet. */
  readonly lost: LostOffsets;
  /** The offset from which on the log has to be continued, where its end is missing. */
  readonly continueAt: number | undefined;
  readonly batchCount: number;
  readonly recordCount: number;
  readonly bytes: number;
}

/** Errors: those of reading files, LOG_CORRUPT when the list of given up offsets cannot be read. */
export async function verifyLog(
  files: Files,
  directory: string,
  name: string,
  traits: LogTraits,
  tail: TailKnowledge,
): Promise<VerifiedLog> {
  return await new LogVerifier(files, directory, name, traits, tail).run();
}

class LogVerifier {
  readonly #files: Files;
  readonly #directory: string;
  readonly #name: string;
  readonly #traits: LogTraits;
  readonly #tail: TailKnowledge;
  readonly #findings: Finding[] = [];
  readonly #lost: [number, number][] = [];
  #givenUp: LostOffsets = [];

  constructor(files: Files, directory: string, name: string, traits: LogTraits, tail: TailKnowledge) {
    this.#files = files;
    this.#directory = directory;
    this.#name = name;
    this.#traits = traits;
    this.#tail = tail;
  }

  async run(): Promise<VerifiedLog> {
    const names = (await this.#files.exists(this.#directory)) ? await this.#files.list(this.#directory) : [];
    this.#givenUp = await readLostOffsets(this.#files, this.#directory);
    const bases = names.map(baseOffsetOf).filter((base) => base !== undefined);
    if (bases.length === 0 && this.#tail.point === undefined)
      this.#find("damage", this.#directory, 0, "the log has no segment");
    const segments: VerifiedSegment[] = [];
    let bytes = 0;
    for (const [index, base] of bases.entries()) {
      const path = `${segmentPath(this.#directory, base)}.log`;
      const content = await this.#content(path, base, index === bases.length - 1);
      bytes += content.length;
      segments.push(this.#segment(path, base, bases[index + 1], content));
      if (index < bases.length - 1) await this.#verifyIndex(base, content.length);
    }
    const sum = (of: (survey: SegmentSurvey) => number): number =>
      segments.reduce((total, { survey }) => total + of(survey), 0);
    return {
      name: this.#name,
      segments,
      findings: this.#findings,
      lost: this.#lost,
      continueAt: this.#continueAt(segments.at(-1)),
      batchCount: sum(({ batchCount }) => batchCount),
      recordCount: sum(({ recordCount }) => recordCount),
      bytes,
    };
  }

  /** With what the journal will write into the last segment. */
  async #content(path: string, base: number, isLast: boolean): Promise<Buffer> {
    let content = await this.#files.readFile(path);
    if (!isLast) return content;
    for (const { segmentBase, position, bytes } of this.#tail.parts) {
      if (segmentBase !== base) continue;
      if (position > content.length) {
        const what = `the file ends at byte ${content.length}, and the journal goes on at ${position}`;
        this.#find("damage", path, content.length, what);
        break;
      }
      const end = position + bytes.length;
      content = Buffer.concat([content.subarray(0, position), bytes, content.subarray(end)]);
    }
    return content;
  }

  #segment(path: string, base: number, nextBase: number | undefined, content: Buffer): VerifiedSegment {
    const survey = surveySegment(content, base);
    const soundBytes = nextBase === undefined ? this.#soundBytes(base) : content.length;
    const damages = survey.damages.filter((damage) => !this.#isTorn(damage, soundBytes, content.length));
    for (const damage of survey.damages) {
      const { fault, position, endPosition } = damage;
      const isDamage = damages.includes(damage);
      const what = `${fault.what} is ${fault.found}, expected ${fault.expected}; ${endPosition - position} bytes are no batch`;
      this.#find(
        isDamage ? "damage" : "notice",
        path,
        fault.position,
        isDamage ? what : `${what}: a torn write`,
      );
      const lostTo = damage.lostTo ?? nextBase;
      if (isDamage && lostTo !== undefined) this.#lose(damage.lostFrom, lostTo);
    }
    for (const [start, end] of survey.gaps) this.#verifyGap(path, 0, start, end);
    if (nextBase !== undefined && survey.damages.at(-1)?.endPosition !== content.length)
      this.#verifyGap(path, content.length, survey.nextOffset, nextBase);
    return { baseOffset: base, path, survey, damages };
  }

  /** How much of the last segment was on disk for certain. */
  #soundBytes(base: number): number {
    const { point, parts } = this.#tail;
    const journaled = parts.filter(({ segmentBase }) => segmentBase === base).at(-1);
    const journaledEnd = journaled === undefined ? 0 : journaled.position + journaled.bytes.length;
    return Math.max(point?.segmentBase === base ? point.sizeBytes : 0, journaledEnd);
  }

  /** Whether a crash may have left it: then the next open cuts it off. */
  #isTorn({ position, endPosition }: Damage, soundBytes: number, sizeBytes: number): boolean {
    return position >= soundBytes && (endPosition === sizeBytes || !this.#traits.isSynced);
  }

  #verifyGap(path: string, position: number, start: number, end: number): void {
    if (start === end || this.#traits.isCompacted) return;
    if (start > end) {
      this.#find(
        "damage",
        path,
        position,
        `offset ${end} begins the next segment, and this one ends before ${start}`,
      );
      return;
    }
    if (isLost(this.#givenUp, start) && isLost(this.#givenUp, end - 1)) {
      this.#find("notice", path, position, `offsets ${start} to ${end - 1} were given up in a repair`);
      return;
    }
    this.#find("damage", path, position, `offsets ${start} to ${end - 1} are missing`);
    this.#lose(start, end);
  }

  /** What a checkpoint knew behind the end of the last segment. */
  #continueAt(last: VerifiedSegment | undefined): number | undefined {
    const { point } = this.#tail;
    if (point === undefined) return undefined;
    const nextOffset = last?.survey.nextOffset ?? point.segmentBase;
    if (point.nextOffset <= nextOffset) return undefined;
    if (last === undefined || last.baseOffset < point.segmentBase) {
      const missing = `${segmentPath(this.#directory, point.segmentBase)}.log`;
      const what = `the segment is missing, and ended before offset ${point.nextOffset} at the last checkpoint`;
      this.#find("damage", missing, 0, what);
      this.#lose(nextOffset, point.nextOffset);
      return point.nextOffset;
    }
    const { soundEnd } = last.survey;
    const what = `the segment ends before offset ${nextOffset}, and held ${point.nextOffset - nextOffset} more at the last checkpoint`;
    this.#find("damage", last.path, soundEnd, what);
    this.#lose(nextOffset, point.nextOffset);
    return point.nextOffset;
  }

  async #verifyIndex(base: number, segmentBytes: number): Promise<void> {
    const path = segmentPath(this.#directory, base);
    if (!(await this.#files.exists(`${path}.index`))) return;
    if ((await SegmentIndex.load(this.#files, path, base, segmentBytes)) !== undefined) return;
    this.#find("notice", `${path}.index`, 0, "the index is of no use, and is made anew when it is needed");
  }

  #lose(start: number, end: number): void {
    if (start < end) this.#lost.push([start, end]);
  }

  #find(severity: Finding["severity"], path: string, position: number, what: string): void {
    this.#findings.push({ severity, log: this.#name, path, position, what });
  }
}
