// Whether a client still lives and reads: it is looked at a few times within the time that it may be silent.

import type { Clock, Timer } from "../../io/io.js";
import type { ConnectionLimits } from "../../network/host.js";
import type { SocketWriter } from "../../network/socket-writer.js";

/** Within the shorter of the two times that it may do nothing. */
const LOOKS = 3;

export interface Watched {
  readonly writer: SocketWriter;
  readonly limits: ConnectionLimits;
  /** It said nothing for a while. */
  silent(): void;
  /** It said nothing for as long as it may. */
  stale(): void;
  /** It took nothing for as long as it may, although something waits for it. */
  stalled(): void;
}

export class Liveness {
  /** Hot: whether something came since the last look. */
  heard: boolean;
  private readonly watched: Watched;
  private readonly clock: Clock;
  private readonly everyMs: number;
  private silentMs: number;
  private stalledMs: number;
  private takenBytes: number;
  private timer: Timer;

  constructor(watched: Watched, clock: Clock) {
    const { idleMs, stallMs } = watched.limits;
    this.heard = false;
    this.watched = watched;
    this.clock = clock;
    this.everyMs = Math.min(idleMs, stallMs) / LOOKS;
    this.silentMs = 0;
    this.stalledMs = 0;
    this.takenBytes = 0;
    this.timer = this.next();
  }

  stop(): void {
    this.timer.cancel();
  }

  private next(): Timer {
    return this.clock.setTimer(() => this.look(), this.everyMs, true);
  }

  private look(): void {
    const { writer, limits } = this.watched;
    this.silentMs = this.heard ? 0 : this.silentMs + this.everyMs;
    this.heard = false;
    const isStuck = writer.pendingBytes > 0 && writer.takenBytes === this.takenBytes;
    this.stalledMs = isStuck ? this.stalledMs + this.everyMs : 0;
    this.takenBytes = writer.takenBytes;
    this.timer = this.next();
    if (this.stalledMs >= limits.stallMs) this.watched.stalled();
    else if (this.silentMs >= limits.idleMs) this.watched.stale();
    else if (this.silentMs > 0) this.watched.silent();
  }
}
