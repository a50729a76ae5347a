// The deliveries of a channel that its client has not answered, by delivery tag.

import type { Delivery } from "../../broker/delivery.js";

const SLOTS_MIN = 16;

/**
 * Tags count from 1 and are mostly answered in their order:
 *
 *   tag:    first         next - 1
 *   slots:  | 7 |   | 9 | 10 |         a ring; answered ones are holes
 *   old:    { 2, 5 }                   what was left behind when the ring would have grown for holes alone
 *
 * Hot: no object per delivery, and none per answer.
 */
export class UnackedDeliveries {
  size = 0;
  /** The tag that is given out next. */
  next = 1;
  /** Of {@link takeOldest}. */
  lastTaken = 0;
  private first = 1;
  private deliveries: (Delivery | undefined)[] = new Array(SLOTS_MIN);
  private readonly old = new Map<number, Delivery>();
  /** Goes through {@link old} once: a map that is asked for its first key anew passes every key that was deleted. */
  private oldTags = this.old.keys();
  /** Where that is; 0 before its first. */
  private oldTag = 0;

  /** Returns the tag. */
  add(delivery: Delivery): number {
    const tag = this.skip();
    this.deliveries[tag & (this.deliveries.length - 1)] = delivery;
    this.size += 1;
    return tag;
  }

  /** A tag for what needs no answer. */
  skip(): number {
    const tag = this.next;
    if (this.size === this.old.size) this.first = tag;
    else if (tag - this.first === this.deliveries.length) this.makeRoom();
    this.next = tag + 1;
    return tag;
  }

  /** Takes one out; undefined when nothing with that tag waits. */
  take(tag: number): Delivery | undefined {
    if (tag >= this.next) return undefined;
    if (tag < this.first) return this.takeOld(tag);
    const { deliveries } = this;
    const mask = deliveries.length - 1;
    const delivery = deliveries[tag & mask];
    if (delivery === undefined) return undefined;
    deliveries[tag & mask] = undefined;
    this.size -= 1;
    while (this.first < this.next && deliveries[this.first & mask] === undefined) this.first += 1;
    return delivery;
  }

  /** Takes out the oldest, when its tag is at most `tag`. */
  takeOldest(tag: number): Delivery | undefined {
    if (this.size === 0) return undefined;
    const oldest = this.old.size > 0 ? this.oldestOld() : this.first;
    if (oldest > tag) return undefined;
    this.lastTaken = oldest;
    return this.take(oldest);
  }

  /** Puts back what was taken out. */
  restore(taken: Iterable<readonly [tag: number, delivery: Delivery]>): void {
    const { old } = this;
    const oldSize = old.size;
    for (const [tag, delivery] of taken) {
      this.size += 1;
      if (tag < this.first) old.set(tag, delivery);
      else this.deliveries[tag & (this.deliveries.length - 1)] = delivery;
    }
    if (old.size === oldSize) return;
    const entries = [...old].sort(([a], [b]) => a - b);
    old.clear();
    for (const [tag, delivery] of entries) old.set(tag, delivery);
    this.oldTags = old.keys();
    this.oldTag = 0;
  }

  has(tag: number): boolean {
    if (tag < this.first) return this.old.has(tag);
    return tag < this.next && this.deliveries[tag & (this.deliveries.length - 1)] !== undefined;
  }

  /** Those that wait, the oldest first. */
  *[Symbol.iterator](): Generator<Delivery> {
    yield* this.old.values();
    for (let tag = this.first; tag < this.next; tag += 1) {
      const delivery = this.deliveries[tag & (this.deliveries.length - 1)];
      if (delivery !== undefined) yield delivery;
    }
  }

  /** Only when there is one. */
  private oldestOld(): number {
    while (!this.old.has(this.oldTag)) {
      const next = this.oldTags.next();
      if (next.done === true) this.oldTags = this.old.keys();
      else this.oldTag = next.value;
    }
    return this.oldTag;
  }

  private takeOld(tag: number): Delivery | undefined {
    const delivery = this.old.get(tag);
    if (delivery === undefined) return undefined;
    this.old.delete(tag);
    this.size -= 1;
    return delivery;
  }

  /** Where most of the ring is holes, what waits in its older half is set aside. */
  private makeRoom(): void {
    const { length } = this.deliveries;
    if (length === SLOTS_MIN || (this.size - this.old.size) * 4 > length) this.grow();
    else
      for (const end = this.first + length / 2; this.first < end; this.first += 1) this.setAside(this.first);
  }

  private setAside(tag: number): void {
    const slot = tag & (this.deliveries.length - 1);
    const delivery = this.deliveries[slot];
    if (delivery !== undefined) this.old.set(tag, delivery);
    this.deliveries[slot] = undefined;
  }

  private grow(): void {
    const { deliveries } = this;
    const mask = deliveries.length - 1;
    const grown: (Delivery | undefined)[] = new Array(deliveries.length * 2);
    for (let tag = this.first; tag < this.next; tag += 1)
      grown[tag & (grown.length - 1)] = deliveries[tag & mask];
    this.deliveries = grown;
  }
}
