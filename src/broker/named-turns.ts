// One thing at a time under each name, so that two declarations of one name become one.

export class NamedTurns {
  /** The last of those under way, by name. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `action` when everything that was begun under `name` before has ended, well or badly. */
  async run<T>(name: string, action: () => Promise<T>): Promise<T> {
    const earlier = this.#last.get(name) ?? Promise.resolve();
    const turn = earlier.catch(() => undefined).then(action);
    this.#last.set(name, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(name) === turn) this.#last.delete(name);
    }
  }
}
