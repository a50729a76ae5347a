// Guesses whether a text came before, in a fixed amount of memory: for whoever keeps something for what comes again, and
// nothing for what comes once.

const SLOTS = 4096;
/** A text takes the slot of another one this seldom, so that two that come in turn do not keep displacing each other. */
const DISPLACING_TURNS = 4;

/** A slot has the hash of one text. Texts with equal hashes are taken for one; what is forgotten is new again. */
export class SeenBefore {
  private readonly hashes = new Int32Array(SLOTS);
  private turn = 0;

  /** Hot: whether `text` came before, lately. */
  test(text: string): boolean {
    const hash = hashOf(text);
    const slot = hash & (SLOTS - 1);
    const there = this.hashes[slot]!;
    if (there === hash) return true;
    this.turn = (this.turn + 1) % DISPLACING_TURNS;
    if (there === 0 || this.turn === 0) this.hashes[slot] = hash;
    return false;
  }
}

/** FNV-1a over the characters. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash ^ (hash >>> 15);
}
