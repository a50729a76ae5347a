// Where errors go that no caller waits for.

/** Hears of an error and where it happened. */
export type Reporter = (error: unknown, where: string) => void;

/** The application's own, and what it throws is not lost either. */
export function guardedReporter(report: Reporter): Reporter {
  return (error, where) => {
    try {
      const answer: unknown = report(error, where);
      if (answer instanceof Promise) answer.catch((problem: unknown) => failed(problem, error, where));
    } catch (problem) {
      failed(problem, error, where);
    }
  };
}

export function reportOnStandardError(error: unknown, where: string): void {
  // biome-ignore lint/suspicious/noConsole: the default of an option that takes any other place.
  console.error(`omnibus: ${where}: ${textOf(error)}`);
}

function failed(problem: unknown, error: unknown, where: string): void {
  reportOnStandardError(error, where);
  reportOnStandardError(problem, "the bus's option onError");
}

function textOf(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return "a value that has no text";
  }
}
