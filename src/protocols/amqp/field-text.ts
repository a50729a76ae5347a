// Values of field tables as texts: in error messages as RabbitMQ shows them, and as headers that other protocols read.

import type { FieldTable, FieldValue } from "./wire/fields.js";

/** The number, where it is one that counts something. */
export function integerOf(field: FieldValue): number | undefined {
  switch (field.type) {
    case "byte":
    case "unsignedbyte":
    case "short":
    case "unsignedshort":
    case "signedint":
    case "unsignedint":
    case "long":
      return Number(field.value);
    default:
      return undefined;
  }
}

export function textOf(field: FieldValue | undefined): string | undefined {
  return field?.type === "longstr" ? field.value.toString("utf8") : undefined;
}

/** As `received` and `current` are shown where both are given. */
export function shownValue(field: FieldValue): string {
  return `'${plain(field)}'`;
}

/** As a value is shown where the other side has none. */
export function shownTyped(field: FieldValue | undefined): string {
  return field === undefined ? "none" : `the value '${plain(field)}' of type '${field.type}'`;
}

/** Whether two values mean the same, whatever number of bytes a number has. */
export function isSameField(one: FieldValue, other: FieldValue): boolean {
  return typeClass(one) === typeClass(other) && plain(one) === plain(other);
}

function typeClass(field: FieldValue): string {
  if (integerOf(field) !== undefined) return "integer";
  return field.type === "float" || field.type === "double" ? "float" : field.type;
}

/**
 * The value as another protocol reads it: texts as they are, numbers and truth values in their plain form. Undefined for
 * what has none: it stays in the original bytes.
 */
export function headerText(field: FieldValue): string | Buffer | undefined {
  switch (field.type) {
    case "longstr":
      return field.value;
    case "binary":
    case "table":
    case "array":
    case "void":
      return undefined;
    default:
      return plain(field);
  }
}

function plain(field: FieldValue): string {
  switch (field.type) {
    case "longstr":
    case "binary":
      return field.value.toString("utf8");
    case "decimal":
      return String(field.value.digits / 10 ** field.value.scale);
    case "table":
      return `[${[...field.value].map(([name, value]) => `${name}=${plain(value)}`).join(",")}]`;
    case "array":
      return `[${field.value.map(plain).join(",")}]`;
    default:
      return String(field.value);
  }
}

export function fieldText(table: FieldTable, name: string): string | undefined {
  return textOf(table.get(name));
}

export function fieldInteger(table: FieldTable, name: string): number | undefined {
  const field = table.get(name);
  return field === undefined ? undefined : integerOf(field);
}
