// All handlers of a bus: registering them, starting them, and letting them end.

import type { Capabilities, EngineSource } from "../engines/engine.js";
import { Answers } from "./answers.js";
import { BatchRegistration } from "./batch-registration.js";
import { Consumption, type ConsumptionTarget } from "./consumption.js";
import type { BusCodecs } from "./decoding.js";
import type { AnyHandlerOptions, BatchHandler, BatchOptions, Handler, Handling } from "./handler.js";
import { HandlerSettings } from "./handler-settings.js";
import { LoopWatch } from "./loop-watch.js";
import { invalidOption } from "./option-checks.js";
import type { OutboxHost } from "./outbox.js";
import type { Reading } from "./reading.js";
import type { Registration } from "./registration.js";
import type { Reporter } from "./reporter.js";
import { SingleRegistration } from "./single-registration.js";

/** What handlers need of their bus. */
export interface HandlersHost extends OutboxHost {
  readonly codecs: BusCodecs;
  readonly onError: Reporter;
  assertReceiving(): void;
  assertSupports(capability: keyof Capabilities, what: string): void;
  keepAlive(): () => void;
}

/** What a handler receives from. */
export interface HandlerTarget extends ConsumptionTarget {
  /** Makes or finds the queue, or the topic and its group. */
  declare(): Promise<EngineSource>;
}

export type AnyRegisterOptions = AnyHandlerOptions & { readonly batch?: BatchOptions };

export class Handlers {
  readonly #host: HandlersHost;
  readonly #answers: Answers;
  readonly #consumptions = new Map<string, Consumption>();
  /** Those that take nothing more and whose calls still run. */
  readonly #draining = new Set<Consumption>();
  readonly #loop: LoopWatch;
  #starting: Promise<unknown> | undefined = undefined;
  #stopKeepingAlive: (() => void) | undefined = undefined;

  constructor(host: HandlersHost) {
    this.#host = host;
    this.#answers = new Answers(host.engine, host.onError);
    this.#loop = new LoopWatch(host.engine.clock, () => this.#isHandling, host.onError);
  }

  /** Ends when all handlers registered so far are declared; undefined when they are. Never rejects. */
  get starting(): Promise<unknown> | undefined {
    return this.#starting;
  }

  /** Errors: INVALID_OPTION, DUPLICATE_HANDLER, NOT_SUPPORTED, CLOSED, READ_ONLY. */
  register(target: HandlerTarget, reading: Reading, options: AnyRegisterOptions, handler: unknown): Handling {
    this.#host.assertReceiving();
    const registration = this.#registration(target, reading, options, handler);
    const { consumer } = registration.settings.consumer;
    const consumption = this.#consumption({ ...target, consumer });
    consumption.add(registration);
    this.#updateKeepAlive();
    const ready = this.#start(consumption, registration, target);
    const reported = ready.catch((error: unknown) =>
      this.#host.onError(error, `starting the handler of ${reading.name}`),
    );
    const starting = Promise.all([this.#starting, reported]).then(() => {
      if (this.#starting === starting) this.#starting = undefined;
    });
    this.#starting = starting;
    return {
      ready,
      get running() {
        return registration.running;
      },
      close: () => this.#close(consumption, registration),
    };
  }

  /** Takes no more messages. Resolves when the calls that run have ended and their messages are settled. */
  async drain(): Promise<void> {
    await this.#starting;
    for (const consumption of this.#consumptions.values()) this.#draining.add(consumption);
    this.#consumptions.clear();
    await Promise.all([...this.#draining].map((consumption) => this.#drain(consumption)));
  }

  /** Gives back everything at once: what handlers do from now on is in vain. */
  abandon(reason: unknown): void {
    for (const consumption of [...this.#consumptions.values(), ...this.#draining])
      consumption.abandon(reason);
    this.#consumptions.clear();
    this.#draining.clear();
    this.#updateKeepAlive();
  }

  #registration(
    target: HandlerTarget,
    reading: Reading,
    options: AnyRegisterOptions,
    handler: unknown,
  ): Registration {
    if (typeof handler !== "function")
      throw invalidOption(`handler of ${reading.name}`, handler, "a function");
    const { engine, codecs, onError, middleware } = this.#host;
    const settings = new HandlerSettings(options, engine.random, onError);
    if (settings.isOrderedByKey) this.#host.assertSupports("orderByKey", "order by key");
    settings.consumer.assertSupported(this.#host);
    const { kind, name, source } = target;
    const group = kind === "group" ? name.slice(source.length + 1) : undefined;
    const { clock } = engine;
    const parts = {
      reading,
      settings,
      source,
      group,
      codecs,
      middleware,
      answers: this.#answers,
      clock,
      onError,
      outputs: this.#host,
    };
    return options.batch === undefined
      ? new SingleRegistration(parts, handler as Handler<unknown>)
      : new BatchRegistration(parts, handler as BatchHandler<unknown>);
  }

  get #isHandling(): boolean {
    for (const consumption of this.#consumptions.values()) if (consumption.isHandling) return true;
    for (const consumption of this.#draining) if (consumption.isHandling) return true;
    return false;
  }

  #consumption(target: HandlerTarget): Consumption {
    const key = keyOf(target);
    const consumption = this.#consumptions.get(key);
    if (consumption === undefined) {
      const { engine, onError } = this.#host;
      const made = new Consumption(target, engine.clock, this.#loop, this.#answers, onError, () =>
        this.#forget(made),
      );
      this.#consumptions.set(key, made);
      return made;
    }
    return consumption;
  }

  /** What it receives from was deleted: a handler that is registered later makes it anew. */
  #forget(consumption: Consumption): void {
    const key = keyOf(consumption.target);
    if (this.#consumptions.get(key) === consumption) this.#consumptions.delete(key);
    this.#updateKeepAlive();
  }

  /** A handler that could not start is as if it had never been registered. */
  async #start(consumption: Consumption, registration: Registration, target: HandlerTarget): Promise<void> {
    try {
      consumption.start(await target.declare());
    } catch (error) {
      await this.#close(consumption, registration);
      throw error;
    }
  }

  async #close(consumption: Consumption, registration: Registration): Promise<void> {
    await consumption.remove(registration);
    if (consumption.isEmpty) this.#forget(consumption);
    else this.#updateKeepAlive();
  }

  async #drain(consumption: Consumption): Promise<void> {
    await consumption.drain();
    this.#draining.delete(consumption);
    this.#updateKeepAlive();
  }

  /** A process with handlers stays alive; one whose handlers have ended may end. */
  #updateKeepAlive(): void {
    const isNeeded = this.#consumptions.size > 0 || this.#draining.size > 0;
    if (isNeeded) {
      this.#stopKeepingAlive ??= this.#host.keepAlive();
      return;
    }
    this.#stopKeepingAlive?.();
    this.#stopKeepingAlive = undefined;
  }
}

/** A queue and a group may be called the same; names of queues and groups have no space. */
function keyOf({ kind, name, consumer }: ConsumptionTarget): string {
  return consumer === undefined ? `${kind} ${name}` : `${kind} ${name} ${consumer}`;
}
