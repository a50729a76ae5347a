// Exchanges and bindings: declaring and storing them, and where a message leads.

import { BrokerError, isBrokerError } from "../broker-error.js";
import { SeenBefore } from "../collections/seen-before.js";
import type { LogStore } from "../log/log-store.js";
import { attributesProblem } from "./attributes.js";
import {
  type Binding,
  type BindingDefinition,
  BUS_EXCHANGE,
  bindingDefinition,
  bindingKey,
  bindingOf,
  EXCHANGE_DEFAULTS,
  EXCHANGE_KINDS,
  type ExchangeOptions,
  type TargetKind,
  wayOf,
} from "./binding.js";
import type { Catalog, ExchangeDefinition } from "./catalog.js";
import { assertSame, given } from "./declared-options.js";
import { type Destination, Exchange, findRoute, type Route } from "./exchange.js";
import { shown } from "./limits.js";
import type { OutgoingMessage } from "./message.js";
import { NamedTurns } from "./named-turns.js";
import { assertName } from "./names.js";
import { INBOX_PREFIX } from "./subject.js";

/** How many routes are remembered, over all exchanges. Beyond that all are forgotten and found anew. */
const ROUTES_MAX = 10_000;

/** Of every message on a bus to which nothing is bound, and of what is published to an inbox. */
const PAST_THE_BUS: Route = { destinations: [], isSeenAtOnce: true };

/** What routing is built on. */
export interface RoutingParts {
  readonly store: LogStore;
  readonly catalog: Catalog;
  /** What has that name. Errors: QUEUE_NOT_FOUND, TOPIC_NOT_FOUND, those of what could not be opened. */
  readonly destination: (kind: "queue" | "topic", name: string) => Destination;
  /** When the broker is opened: what has that name, if it is there, whether or not it could be opened. */
  readonly storedDestination: (kind: "queue" | "topic", name: string) => Destination | undefined;
}

export class Routing {
  /** Those that were declared, by name. */
  readonly exchanges = new Map<string, Exchange>();
  readonly #bus = new Exchange(BUS_EXCHANGE, { kind: "topic" });
  readonly #parts: RoutingParts;
  readonly #turns = new NamedTurns();
  /** Those that remember routes, and how many these are. */
  readonly #remembering = new Set<Exchange>();
  #remembered = 0;
  /** Subjects that come once, as those of replies do, would only displace others. */
  readonly #seen = new SeenBefore();
  /** Whether a binding with a tag was ever seen. */
  #hasTags = false;

  constructor(parts: RoutingParts) {
    this.#parts = parts;
  }

  /** Everything that is bound. */
  get bindings(): Binding[] {
    return this.#parts.catalog.bindings.map(bindingOf);
  }

  /**
   * Makes the exchange, durably, or finds it. Errors: INVALID_NAME, INVALID_OPTION, EXCHANGE_NOT_FOUND for the
   * alternate, EXCHANGE_MISMATCH.
   */
  async declare(
    name: string,
    options: Partial<ExchangeOptions>,
    mayLackAlternate = false,
  ): Promise<Exchange> {
    assertName("exchange", name);
    return await this.#turns.run(`exchange/${name}`, async () => {
      const asked = given(options);
      assertExchangeOptions(name, asked);
      const existing = this.exchanges.get(name);
      if (existing !== undefined) {
        assertSame("EXCHANGE_MISMATCH", `Exchange ${name}`, existing.options, asked);
        return existing;
      }
      if (asked.alternate !== undefined && !mayLackAlternate) this.declared(asked.alternate);
      const complete = { ...EXCHANGE_DEFAULTS, ...asked };
      const definition: ExchangeDefinition = { kind: "exchange", name, options: complete };
      await this.#parts.catalog.put(definition);
      return this.openExchange(definition);
    });
  }

  /** Removes the exchange, with everything that is bound from it and to it, as one step. Errors: EXCHANGE_NOT_FOUND. */
  async delete(name: string): Promise<void> {
    const { catalog, store } = this.#parts;
    const gone = await this.#turns.run(`exchange/${name}`, async () => {
      const exchange = this.declared(name);
      const { options } = exchange;
      const bound = this.bindingsOf("exchange", name);
      await catalog.removeAll([...bound, { kind: "exchange", name, options }], store);
      // What was bound meanwhile goes too.
      const late = this.bindingsOf("exchange", name);
      for (const binding of [...bound, ...late]) this.close(binding);
      this.exchanges.delete(name);
      exchange.isDeleted = true;
      this.#forgetRoutes();
      if (late.length > 0) await catalog.removeAll(late, store);
      return [...bound, ...late];
    });
    await this.deleteUnbound(gone);
  }

  /** Deletes those exchanges that these bindings were the last of and that go by themselves. Errors: those of storage. */
  async deleteUnbound(gone: readonly BindingDefinition[]): Promise<void> {
    for (const { from } of gone) {
      if (from === undefined || this.exchanges.get(from)?.options.autoDelete !== true) continue;
      if (this.bindingsOf("exchange", from).some((binding) => binding.from === from)) continue;
      await this.delete(from).catch((error: unknown) => {
        // Somebody else was faster.
        if (!isBrokerError(error, "EXCHANGE_NOT_FOUND")) throw error;
      });
    }
  }

  /** Leads messages from an exchange on, durably. Errors: those of {@link Binding}, and that its ends are not there. */
  async bind(binding: Binding): Promise<void> {
    const definition = this.#checked(binding);
    await this.#turns.run(bindingKey(definition), async () => {
      const { catalog } = this.#parts;
      const known = catalog.binding(definition);
      if (known !== undefined && known.weight === definition.weight) return;
      await catalog.put(definition);
      if (this.open(definition)) return;
      // One of its ends was deleted meanwhile.
      await catalog.remove(definition);
      this.#checked(binding);
    });
  }

  /** Nothing happens when there is no such binding. Errors: those of {@link bind}. */
  async unbind(binding: Binding): Promise<void> {
    const definition = this.#checked(binding);
    const wasThere = await this.#turns.run(bindingKey(definition), async () => {
      if (!this.#parts.catalog.has(definition)) return false;
      await this.#parts.catalog.remove(definition);
      if (!this.#isBoundOtherwise(definition)) this.close(definition);
      return true;
    });
    // An exchange that never had a binding has not lost its last one.
    if (wasThere) await this.deleteUnbound([definition]);
  }

  /** Takes in a stored exchange. Errors: FORMAT_UNSUPPORTED. */
  openExchange({ name, options }: ExchangeDefinition): Exchange {
    if (!EXCHANGE_KINDS.includes(options.kind))
      throw new BrokerError(
        "FORMAT_UNSUPPORTED",
        `Exchange ${name} is of the kind ${options.kind}, which this version does not know. Use a later version.`,
        { exchange: name },
      );
    const exchange = new Exchange(name, { ...EXCHANGE_DEFAULTS, ...options });
    this.exchanges.set(name, exchange);
    this.#forgetRoutes();
    return exchange;
  }

  /** Takes in a stored binding. False when one of its ends is not there: it leads nowhere. */
  open(definition: BindingDefinition): boolean {
    const exchange = this.#find(definition.from);
    const target = this.#target(definition);
    if (exchange === undefined || target === undefined) return false;
    if (definition.tag !== undefined) this.#hasTags = true;
    exchange.bindings.bind(definition, target);
    this.#forgetRoutes();
    return true;
  }

  /** Everything that is bound from it or to it. */
  bindingsOf(kind: TargetKind, name: string): BindingDefinition[] {
    return this.#parts.catalog.bindingsOf(kind, name);
  }

  /** Leads messages there no more, until it is opened again. What is stored is not touched. */
  close(definition: BindingDefinition): void {
    const target = this.#target(definition);
    if (target !== undefined) this.#find(definition.from)?.bindings.unbind(definition, target);
    this.#forgetRoutes();
  }

  /** Hot: where a message leads that is published to the exchange. Errors: EXCHANGE_NOT_FOUND, INVALID_SUBJECT. */
  route(message: OutgoingMessage, name: string): Route {
    if (name !== BUS_EXCHANGE) return this.#route(message, this.declared(name));
    return this.#bus.bindings.isEmpty ? PAST_THE_BUS : this.#route(message, this.#bus);
  }

  /** Hot: whether it is known that every message of the subject comes past the bus and leads nowhere. */
  isUnbound(subject: string): boolean {
    if (this.#bus.bindings.isEmpty) return true;
    const route = this.#bus.routes.get(subject);
    return route !== undefined && route.destinations.length === 0 && route.isSeenAtOnce;
  }

  /** As {@link route}, by each of `subjects` as well: every destination once. */
  routeByAll(message: OutgoingMessage, name: string, subjects: readonly string[]): Route {
    const routes = [message.subject, ...subjects].map((subject) => this.route({ ...message, subject }, name));
    const destinations = new Set(routes.flatMap((route) => route.destinations));
    const isTopic = ({ kind }: Destination): boolean => kind === "topic";
    return {
      destinations: [...destinations].sort((a, b) => Number(isTopic(b)) - Number(isTopic(a))),
      isSeenAtOnce: routes.some((route) => route.isSeenAtOnce) && ![...destinations].some(isTopic),
    };
  }

  /** The exchange of that name, the bus included. Errors: EXCHANGE_NOT_FOUND. */
  declared(name: string): Exchange {
    const exchange = this.#find(name);
    if (exchange !== undefined) return exchange;
    throw new BrokerError("EXCHANGE_NOT_FOUND", `There is no exchange ${name}. Declare it first.`, {
      exchange: name,
    });
  }

  #route(message: OutgoingMessage, exchange: Exchange): Route {
    return exchange.routes.get(message.subject) ?? this.#search(exchange, message);
  }

  #search(exchange: Exchange, message: OutgoingMessage): Route {
    if (exchange === this.#bus && message.subject.startsWith(INBOX_PREFIX)) return PAST_THE_BUS;
    const { route, isBySubject } = findRoute(message, exchange, this.#bus, this.#alternateOf);
    if (isBySubject && this.#seen.test(message.subject)) this.#remember(exchange, message.subject, route);
    return route;
  }

  #remember(exchange: Exchange, subject: string, route: Route): void {
    if (this.#remembered >= ROUTES_MAX) this.#forgetRoutes();
    this.#remembered += 1;
    this.#remembering.add(exchange);
    exchange.routes.set(subject, route);
  }

  #forgetRoutes(): void {
    for (const { routes } of this.#remembering) routes.clear();
    this.#remembering.clear();
    this.#remembered = 0;
  }

  readonly #alternateOf = ({ options: { alternate } }: Exchange): Exchange | undefined =>
    alternate === undefined ? undefined : this.#find(alternate);

  #find(name = BUS_EXCHANGE): Exchange | undefined {
    return name === BUS_EXCHANGE ? this.#bus : this.exchanges.get(name);
  }

  /** Whether another binding, which a tag tells apart, leads the same way. */
  #isBoundOtherwise(definition: BindingDefinition): boolean {
    const way = wayOf(definition);
    return this.#hasTags && this.#parts.catalog.bindings.some((other) => wayOf(other) === way);
  }

  /** Errors: as {@link bind}. */
  #checked(binding: Binding): BindingDefinition {
    const { from = BUS_EXCHANGE, to } = binding;
    if (to.kind === "exchange") this.declared(to.name);
    else this.#parts.destination(to.kind, to.name);
    return bindingDefinition(binding, this.declared(from).options.kind);
  }

  #target({
    destinationKind: kind,
    destination: name,
  }: BindingDefinition): Destination | Exchange | undefined {
    return kind === "exchange" ? this.#find(name) : this.#parts.storedDestination(kind, name);
  }
}

/** Errors: INVALID_OPTION. */
function assertExchangeOptions(name: string, options: Partial<ExchangeOptions>): void {
  for (const [option, value] of Object.entries(options)) {
    const problem = exchangeOptionProblem(option, value);
    if (problem === undefined) continue;
    throw new BrokerError(
      "INVALID_OPTION",
      `The option ${option} of exchange ${name} is ${shown(value)}; ${problem}.`,
      { option, value: shown(value) },
    );
  }
}

function exchangeOptionProblem(option: string, value: unknown): string | undefined {
  if (option === "alternate")
    return typeof value === "string" ? undefined : "give the name of another exchange";
  if (option === "attributes") return attributesProblem(value);
  if (option === "autoDelete") return typeof value === "boolean" ? undefined : "give true or false";
  if (option !== "kind") return "there is no such option; there are kind, alternate, autoDelete, attributes";
  return EXCHANGE_KINDS.some((kind) => kind === value)
    ? undefined
    : `give one of ${EXCHANGE_KINDS.join(", ")}`;
}
