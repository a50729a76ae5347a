// What AMQP keeps with a queue or an exchange and the broker does not look at.

import { type FieldTable, readTable, tableSize, writeTable } from "./wire/fields.js";
import { WireReader } from "./wire/reader.js";

export type Attributes = Readonly<
  Partial<Record<"amqp-arguments" | "amqp-transient" | "amqp-type" | "amqp-internal", string>>
>;

/** With the table that was declared, in base64: where there is none, it was not declared on AMQP. */
export function withTable(attributes: Attributes, table: FieldTable): Attributes {
  const bytes = Buffer.allocUnsafe(tableSize(table));
  writeTable(bytes, 0, table);
  return { ...attributes, "amqp-arguments": bytes.toString("base64") };
}

/** Undefined when no table was declared. */
export function tableOf(attributes: Attributes): FieldTable | undefined {
  const text = attributes["amqp-arguments"];
  return text === undefined ? undefined : readTable(new WireReader(Buffer.from(text, "base64")));
}

/** Of a queue or an exchange. */
export function attributesOf({
  options,
}: {
  readonly options: { readonly attributes?: Attributes | undefined };
}): Attributes {
  return options.attributes ?? {};
}
