// What whoever declares a queue or exchange wants to find there again: the broker keeps it, gives it back, and never looks
// at it.

/** Texts by name. */
export type Attributes = Readonly<Record<string, string>>;

/** Bytes of all names and values: they are kept in memory and in the catalog. */
const ATTRIBUTES_BYTES_MAX = 8 * 1024;

/** What is wrong with them; undefined when nothing is. */
export function attributesProblem(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "give texts by name";
  let bytes = 0;
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string") return `give a text as ${name}`;
    bytes += Buffer.byteLength(name) + Buffer.byteLength(text);
  }
  return bytes <= ATTRIBUTES_BYTES_MAX
    ? undefined
    : `give at most ${ATTRIBUTES_BYTES_MAX} bytes of names and texts; these have ${bytes}`;
}
