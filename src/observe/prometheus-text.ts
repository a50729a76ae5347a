// Prometheus' text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/
//
//   # HELP name text
//   # TYPE name counter
//   name{label="value"} 1

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One number with its name; `_total` at its end makes it a counter. */
export interface Sample {
  readonly name: string;
  readonly help: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The lines of one family; none when it has no samples. */
export function familyLines(
  name: string,
  type: "counter" | "gauge",
  help: string,
  samples: string[],
): string[] {
  return samples.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples];
}

/** Samples in any order; those of one name stand together, as the format wants it. */
export function samplesText(samples: Iterable<Sample>): string {
  const families = new Map<string, { readonly help: string; readonly lines: string[] }>();
  for (const { name, help, labels, value } of samples) {
    let family = families.get(name);
    if (family === undefined) {
      family = { help, lines: [] };
      families.set(name, family);
    }
    family.lines.push(`${name}${labelText(labels)} ${value}`);
  }
  return [...families]
    .flatMap(([name, { help, lines }]) =>
      familyLines(name, name.endsWith("_total") ? "counter" : "gauge", help, lines),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** `{name="value"}`; empty without labels. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  if (Object.keys(labels).length === 0) return "";
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escaped)}"`)
    .join(",")}}`;
}

function escaped(character: string): string {
  return character === "\n" ? "\\n" : `\\${character}`;
}
