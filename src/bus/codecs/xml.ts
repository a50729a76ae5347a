// XML bodies: `omnibus/xml`. Needs the package fast-xml-parser.

import { XMLBuilder, XMLParser } from "fast-xml-parser";
import type { Codec } from "../codec.js";
import { invalidOption, knownOptions } from "../option-checks.js";

/** An element as it is read: its child elements by name, its attributes as `@name`, and its text, beside those, as `#text`. */
export interface XmlElement {
  readonly [name: string]: XmlContent;
}

/** An element that has text and nothing else is that text. Several of one name are a list. */
export type XmlContent = string | XmlElement | readonly (string | XmlElement)[];

export interface XmlOptions {
  /** The name of the outermost element, which a value is the content of. */
  readonly root: string;
  /** Names of elements that are read as a list even where there is one. @default none */
  readonly lists?: readonly string[];
}

/** XML 1.0, section 2.3, without the colon at the beginning that no namespace has. */
const NAME = /^[\p{L}_][\p{L}\p{N}\p{M}._:·-]*$/u;
/** XML 1.0, section 2.2: what no document may hold, escaped or not. */
const NO_CHARACTER = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;
/** XML 1.0, section 2.8. What a writer escapes cannot be taken for it. */
const DOCTYPE = "<!DOCTYPE";
const TEXT = "#text";
const ATTRIBUTE = "@";

const SHAPE = { ignoreAttributes: false, attributeNamePrefix: ATTRIBUTE, textNodeName: TEXT };

/** XML 1.0, section 4.6: those that need no declaration. */
const PREDEFINED: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", apos: "'", quot: '"' };
const REFERENCE = /&(?:#(\d+)|#x([\da-fA-F]+)|([^;]*));/g;

/** What the parser asks for the text of references; it knows none but those of XML itself. */
const ENTITIES = {
  decode: (text: string) =>
    text.replace(REFERENCE, (reference, decimal?: string, hexadecimal?: string, name?: string) => {
      if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
      if (hexadecimal !== undefined) return String.fromCodePoint(Number.parseInt(hexadecimal, 16));
      const character = PREDEFINED[name ?? ""];
      if (character === undefined)
        throw new SyntaxError(`it refers to ${reference}, which it does not define`);
      return character;
    }),
  setExternalEntities: () => undefined,
  addInputEntities: () => undefined,
  setXmlVersion: () => undefined,
  reset: () => undefined,
};

/**
 * XML elements as objects. Everything is read as text: let a schema make numbers of it. Lists repeat their element;
 * null and undefined leave it out; a Date is written as ISO 8601. Made for records, not for documents: where text and
 * elements mix, their order is lost. Comments and instructions are passed over, document types are refused. Errors:
 * INVALID_OPTION.
 *
 * @example
 * import { xml } from "omnibus/xml";
 * const Invoice = event("invoice.sent", {
 *   codec: xml({ root: "invoice", lists: ["line"] }),
 *   schema: z.object({ "@number": z.string(), line: z.array(z.object({ sku: z.string(), price: z.coerce.number() })) }),
 * });
 */
export function xml(options: XmlOptions): Codec<object, XmlElement> {
  const { root, lists = [] } = knownOptions("xml", options, ["root", "lists"]);
  if (typeof root !== "string" || !NAME.test(root))
    throw invalidOption("root", root, "the name of an element");
  if (!Array.isArray(lists)) throw invalidOption("lists", lists, "a list of names of elements");
  const builder = new XMLBuilder({ ...SHAPE, suppressEmptyNode: true, suppressBooleanAttributes: false });
  const parser = new XMLParser({
    ...SHAPE,
    parseTagValue: false,
    parseAttributeValue: false,
    trimValues: false,
    entityDecoder: ENTITIES,
    ignoreDeclaration: true,
    ignorePiTags: true,
    isArray: (name, _path, _isLeaf, isAttribute) => !isAttribute && lists.includes(name),
  });
  return {
    contentType: "application/xml",
    reads: ["text/xml"],
    encode(value) {
      if (!isPlain(value)) throw new TypeError("an element is written from an object");
      return builder.build({ [root]: writable(value) });
    },
    decode(record) {
      const text = record.valueText();
      if (text.includes(DOCTYPE)) throw new SyntaxError("it has a document type declaration");
      const elements = parser.parse(text, true) as XmlElement;
      const { [root]: outermost, ...others } = withoutLayout(elements) as XmlElement;
      if (outermost === undefined || isList(outermost) || Object.keys(others).length > 0)
        throw new SyntaxError(`it is not one element called ${root}`);
      if (typeof outermost !== "string") return outermost;
      return outermost === "" ? {} : { [TEXT]: outermost };
    },
  };
}

/** The value with nothing in it but what the builder writes as it is meant. Throws for what XML cannot hold. */
function writable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(writable);
  if (value instanceof Date) return value.toISOString();
  if (isPlain(value)) {
    const given = Object.entries(value).filter(([, content]) => content !== undefined && content !== null);
    return Object.fromEntries(given.map(([name, content]) => [assertName(name), writable(content)]));
  }
  if (!["string", "number", "bigint", "boolean"].includes(typeof value))
    throw new TypeError(`XML has no text for ${value === null ? "null in a list" : typeof value}`);
  const text = String(value);
  const wrong = NO_CHARACTER.exec(text)?.[0];
  if (wrong !== undefined) throw new TypeError(`XML cannot hold the character ${JSON.stringify(wrong)}`);
  return text;
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function assertName(name: string): string {
  if (name === TEXT || NAME.test(name.startsWith(ATTRIBUTE) ? name.slice(1) : name)) return name;
  throw new TypeError(`${JSON.stringify(name)} cannot be the name of an element`);
}

/** Space between elements is layout; in an element that has text only, it is content. */
function withoutLayout(content: XmlContent): XmlContent {
  if (typeof content === "string") return content;
  if (isList(content)) return content.map((item) => withoutLayout(item) as string | XmlElement);
  const hasElements = Object.keys(content).some((name) => name !== TEXT && !name.startsWith(ATTRIBUTE));
  const kept = Object.entries(content).filter(
    ([name, text]) => name !== TEXT || !hasElements || (text as string).trim() !== "",
  );
  return Object.fromEntries(kept.map(([name, inner]) => [name, withoutLayout(inner)]));
}

function isList(content: XmlContent): content is readonly (string | XmlElement)[] {
  return Array.isArray(content);
}
