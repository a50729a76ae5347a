// Which codec reads a message: the one that it was written with, as its content type says.

import { CONTENT_TYPE_HEADER } from "../broker/message.js";
import { BrokerError } from "../broker-error.js";
import type { EngineRecord } from "../engines/engine.js";
import { type AnyCodec, bytes, isCodec, json, text } from "./codec.js";
import { describeThrown } from "./describe-thrown.js";
import { invalidOption } from "./option-checks.js";

const CONTENT_TYPE_NAME = Buffer.from(CONTENT_TYPE_HEADER);
/** Says no more of a body than that it has bytes. */
const UNKNOWN_BYTES = "application/octet-stream";
/** A body that is text is in one of these, or it is not read. */
const CHARSETS = ["utf-8", "utf8", "us-ascii"];

/** Codecs by the content types that they read. */
export class Codecs {
  readonly #byContentType = new Map<string, AnyCodec>();

  /** Errors: INVALID_OPTION for what is no codec, and for two that read the same. */
  constructor(codecs: readonly AnyCodec[]) {
    for (const codec of codecs) {
      if (!isCodec(codec)) throw invalidOption("codecs", codec, "a list of codecs");
      for (const contentType of contentTypesOf(codec)) {
        const other = this.#byContentType.get(contentType);
        if (other !== undefined && other !== codec)
          throw new BrokerError(
            "INVALID_OPTION",
            `Two codecs read ${contentType}, and a body does not say which of them wrote it. Give one of them.`,
            { option: "codecs", contentType },
          );
        this.#byContentType.set(contentType, codec);
      }
    }
  }

  /** The codec for a content type without parameters; for `a/b+json` also one for JSON, and one for `a/*`. */
  find(mediaType: string): AnyCodec | undefined {
    const [kind, name] = mediaType.split("/");
    const suffix = name?.split("+").at(-1);
    return (
      this.#byContentType.get(mediaType) ??
      (suffix === name ? undefined : this.#byContentType.get(`application/${suffix}`)) ??
      this.#byContentType.get(`${kind}/*`) ??
      this.#byContentType.get("*/*")
    );
  }
}

const BUILT_IN = new Codecs([json, text]);

/** All codecs that a bus knows: those that it was given, then JSON and text. */
export class BusCodecs {
  readonly #given: Codecs;

  /** Errors: INVALID_OPTION. */
  constructor(given: readonly AnyCodec[] = []) {
    if (!Array.isArray(given)) throw invalidOption("codecs", given, "a list of codecs");
    this.#given = new Codecs(given);
  }

  find(mediaType: string): AnyCodec | undefined {
    return this.#given.find(mediaType) ?? BUILT_IN.find(mediaType);
  }
}

/** Reads the bodies of one type of message. */
export class Decoder {
  readonly #name: string;
  readonly #own: AnyCodec;
  readonly #ownContentType: Uint8Array;
  readonly #ownReads: Codecs;
  readonly #others: BusCodecs;

  /** `own` reads what it has written, what it says it reads, and what does not say how it was written. */
  constructor(name: string, own: AnyCodec, others: BusCodecs) {
    this.#name = name;
    this.#own = own;
    this.#ownContentType = Buffer.from(own.contentType);
    this.#ownReads = new Codecs([own]);
    this.#others = others;
  }

  /** Hot. Errors: INVALID_PAYLOAD. */
  decode(record: EngineRecord): unknown {
    const isOther = record.headerEquals(CONTENT_TYPE_NAME, this.#ownContentType) === false;
    const codec = isOther ? this.#codecFor(contentTypeOf(record)!) : this.#own;
    try {
      return codec.decode(record);
    } catch (error) {
      const contentType = contentTypeOf(record) ?? codec.contentType;
      throw new BrokerError(
        "INVALID_PAYLOAD",
        `The body of this ${this.#name} is not valid ${contentType}: ${describeThrown(error)}.`,
        { type: this.#name },
        error,
      );
    }
  }

  #codecFor(contentType: string): AnyCodec {
    const mediaType = mediaTypeOf(contentType);
    const own = mediaType === UNKNOWN_BYTES ? this.#own : this.#ownReads.find(mediaType);
    const codec = own ?? this.#others.find(mediaType);
    if (codec !== undefined && takesCharset(codec, contentType)) return codec;
    throw new BrokerError(
      "INVALID_PAYLOAD",
      `This ${this.#name} was sent as ${contentType}, which no codec of this bus reads; give the one that does to openBus, in codecs.`,
      { type: this.#name, contentType },
    );
  }
}

/**
 * The value of a message whose type is not known: as its content type says; without one, or when no codec reads it, the
 * bytes as they are. Throws when the body cannot be read.
 */
export function decodeStored(record: EngineRecord, codecs: BusCodecs): unknown {
  const contentType = contentTypeOf(record);
  const codec = contentType === undefined ? undefined : codecs.find(mediaTypeOf(contentType));
  const isReadable = codec !== undefined && takesCharset(codec, contentType ?? "");
  return (isReadable ? codec : bytes).decode(record);
}

function contentTypeOf(record: EngineRecord): string | undefined {
  return record.header(CONTENT_TYPE_HEADER)?.toString("latin1");
}

function contentTypesOf(codec: AnyCodec): string[] {
  return [codec.contentType, ...(codec.reads ?? [])].map(mediaTypeOf);
}

/** Without parameters, in lower case. */
function mediaTypeOf(contentType: string): string {
  const end = contentType.indexOf(";");
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** Text comes in UTF-8; bytes as they are. RFC 2045, section 5.1: parameters follow a semicolon, values may be quoted. */
function takesCharset(codec: AnyCodec, contentType: string): boolean {
  if (codec === bytes) return true;
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1];
  return charset === undefined || CHARSETS.includes(charset.toLowerCase());
}
