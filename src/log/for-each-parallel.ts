// Waiting for several answers of the disk at a time.

/** As many as Node has threads for files, by default. */
const AT_ONCE = 4;

/** Runs `action` for each item, a few at a time, in order. Rejects with the first error, when all that run have ended. */
export async function forEachParallel<T>(
  items: Iterable<T>,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done && failures.length === 0; next = iterator.next()) {
      await action(next.value).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (failures.length > 0) throw failures[0];
}
