// Signs of life, in both directions.

import type { Clock, Timer } from "../../io/io.js";

/** What a heartbeat needs of its connection. */
export interface Beating {
  /** Tells the client that we are there. */
  beat(): void;
  /** The client is not. */
  fellSilent(): void;
  /** Whether it would be heard: a connection that is not read from hears nothing. */
  readonly isListening: boolean;
}

/** Beats twice in each interval; the other end is gone when nothing came of it in two intervals, as in RabbitMQ. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #connection: Beating;
  #timer: Timer | undefined = undefined;
  #silentBeats = 0;

  constructor(clock: Clock, intervalMs: number, connection: Beating) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#connection = connection;
    this.#schedule();
  }

  /** Hot: something came. */
  heard(): void {
    this.#silentBeats = 0;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimer(() => this.#run(), this.#intervalMs / 2, true);
  }

  #run(): void {
    this.#silentBeats = this.#connection.isListening ? this.#silentBeats + 1 : 0;
    if (this.#silentBeats > 4) {
      this.#connection.fellSilent();
      return;
    }
    this.#connection.beat();
    this.#schedule();
  }
}
