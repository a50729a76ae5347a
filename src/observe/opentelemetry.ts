// Traces and metrics of a bus for OpenTelemetry, as middleware. The trace context travels in message headers.

import {
  type Attributes,
  type Context,
  type Counter,
  context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  type Histogram,
  type Link,
  type MeterProvider,
  metrics,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapPropagator,
  type Tracer,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { knownOptions } from "../bus/option-checks.js";
import type {
  HandleContext,
  HandleResults,
  Middleware,
  Outcome,
  PublishContext,
  Receipt,
  StoredMessage,
} from "../index.js";
import { isBrokerError } from "../index.js";
import { systemIo } from "../io/system-io.js";
import { ATTRIBUTE, DURATION_BOUNDARIES, METRIC, OTHER_ERROR, SYSTEM } from "./messaging-conventions.js";

export interface OpenTelemetryOptions {
  /** @default the global one */
  readonly tracerProvider?: TracerProvider;
  /** @default the global one */
  readonly meterProvider?: MeterProvider;
  /** How the trace context is written into headers and read again. @default the global one: an SDK registers W3C's */
  readonly propagator?: Pick<TextMapPropagator, "inject" | "extract">;
  /**
   * Whether the span of a handler of single messages is a child of the span that published the message. It is linked
   * to that span in any case, and so are spans of batches. @default true
   */
  readonly continueTrace?: boolean;
}

const OPTIONS = ["tracerProvider", "meterProvider", "propagator", "continueTrace"];
const SCOPE = "omnibus";

/**
 * Spans and metrics by OpenTelemetry's semantic conventions for messaging: a producer span around every publish and
 * send, a consumer span around every call of a handler. Needs `@opentelemetry/api`. Errors: INVALID_OPTION.
 *
 * @example
 * import { openTelemetry } from "omnibus/opentelemetry";
 * bus.use(openTelemetry());
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Middleware {
  return new Telemetry(knownOptions("openTelemetry", options, OPTIONS));
}

/**
 * The trace context that a message was published in, for whoever receives it by hand.
 *
 * @example
 * for await (const delivery of bus.queue("jobs").receive()) {
 *   await context.with(contextOf(delivery.message), () => work(delivery));
 * }
 */
export function contextOf(
  message: StoredMessage,
  propagator: Pick<TextMapPropagator, "extract"> = propagation,
): Context {
  return propagator.extract(ROOT_CONTEXT, message.headers, defaultTextMapGetter);
}

class Telemetry implements Middleware {
  readonly #tracer: Tracer;
  readonly #propagator: Pick<TextMapPropagator, "inject" | "extract">;
  readonly #continuesTrace: boolean;
  readonly #operationDuration: Histogram;
  readonly #processDuration: Histogram;
  readonly #sent: Counter;
  readonly #consumed: Counter;

  constructor(options: OpenTelemetryOptions) {
    this.#tracer = (options.tracerProvider ?? trace.getTracerProvider()).getTracer(SCOPE);
    this.#propagator = options.propagator ?? propagation;
    this.#continuesTrace = options.continueTrace ?? true;
    const meter = (options.meterProvider ?? metrics.getMeterProvider()).getMeter(SCOPE);
    const histogram = ({
      name,
      unit,
      description,
    }: (typeof METRIC)["processDuration" | "operationDuration"]) =>
      meter.createHistogram(name, {
        unit,
        description,
        advice: { explicitBucketBoundaries: DURATION_BOUNDARIES },
      });
    this.#operationDuration = histogram(METRIC.operationDuration);
    this.#processDuration = histogram(METRIC.processDuration);
    this.#sent = meter.createCounter(METRIC.sent.name, METRIC.sent);
    this.#consumed = meter.createCounter(METRIC.consumed.name, METRIC.consumed);
  }

  async publish(call: PublishContext, next: () => Promise<readonly Receipt[]>): Promise<void> {
    const { operation, destination, messages } = call;
    const common = attributesOf(operation, "send", destination);
    const parent = context.active();
    const span = this.#tracer.startSpan(
      // The bus itself is the exchange that has no name.
      `${operation} ${destination}`.trimEnd(),
      { kind: SpanKind.PRODUCER, attributes: { ...common, ...attributesOfUnsent(call) } },
      parent,
    );
    const own = trace.setSpan(parent, span);
    for (const { headers } of messages) this.#carry(own, span, headers);
    const startedMs = systemIo.clock.monotonicMs();
    let failed: Attributes = {};
    try {
      const receipts = await context.with(own, next);
      if (receipts.length === 1) span.setAttributes(attributesOfReceipt(receipts[0]!));
    } catch (error) {
      failed = fail(span, error);
      throw error;
    } finally {
      const attributes = { ...common, ...failed };
      this.#operationDuration.record(secondsSince(startedMs), attributes);
      this.#sent.add(messages.length, attributes);
      span.end();
    }
  }

  async handle(call: HandleContext, next: () => Promise<HandleResults>): Promise<void> {
    const { source, group, messages, isBatch } = call;
    const common = {
      ...attributesOf("process", "process", source),
      ...(group === undefined ? {} : { [ATTRIBUTE.group]: group }),
    };
    const created = messages.map(({ message }) => contextOf(message, this.#propagator));
    const base = isBatch ? ROOT_CONTEXT : this.#baseOf(created[0] ?? ROOT_CONTEXT);
    const span = this.#tracer.startSpan(
      `process ${source}`,
      {
        kind: SpanKind.CONSUMER,
        attributes: { ...common, ...attributesOfHandled(call) },
        links: linksTo(created),
      },
      // Never what happens to be active: handlers run in the turn of whoever stored their messages.
      base,
    );
    const startedMs = systemIo.clock.monotonicMs();
    let failed: Attributes = {};
    try {
      const results = await context.with(trace.setSpan(base, span), next);
      failed = this.#conclude(span, common, results, isBatch);
    } catch (error) {
      failed = fail(span, error);
      this.#consumed.add(messages.length, { ...common, ...failed });
      throw error;
    } finally {
      this.#processDuration.record(secondsSince(startedMs), { ...common, ...failed });
      span.end();
    }
  }

  /** A message that has a context already, of whoever created it, keeps that; the span is linked to it. */
  #carry(own: Context, span: Span, headers: Record<string, string>): void {
    const given = trace.getSpanContext(this.#propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter));
    if (given === undefined) this.#propagator.inject(own, headers, defaultTextMapSetter);
    else span.addLink({ context: given });
  }

  /** What the span of a single message is made in: its baggage in any case. */
  #baseOf(created: Context): Context {
    return this.#continuesTrace ? created : trace.deleteSpan(created);
  }

  /** Counts each message. Returns what failed, for the call as a whole. */
  #conclude(span: Span, common: Attributes, results: HandleResults, isBatch: boolean): Attributes {
    let failed: Attributes = {};
    for (const result of results) {
      const failure = failureOf(result);
      if (failure === undefined) {
        this.#consumed.add(1, common);
        continue;
      }
      this.#consumed.add(1, { ...common, [ATTRIBUTE.errorType]: failure.type });
      if (ATTRIBUTE.errorType in failed) continue;
      failed = { [ATTRIBUTE.errorType]: failure.type };
      span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message }).setAttributes(failed);
    }
    const [only] = results;
    if (!isBatch && only?.status === "fulfilled") span.setAttribute(ATTRIBUTE.outcome, only.value.kind);
    return failed;
  }
}

function attributesOf(operation: string, type: "send" | "process", destination: string): Attributes {
  return {
    [ATTRIBUTE.system]: SYSTEM,
    [ATTRIBUTE.operationName]: operation,
    [ATTRIBUTE.operationType]: type,
    [ATTRIBUTE.destination]: destination,
  };
}

function attributesOfUnsent({ messages, options }: PublishContext): Attributes {
  const subject = messages[0]?.subject ?? "";
  const attributes: Attributes = { [ATTRIBUTE.subject]: subject };
  if (options.correlationId !== undefined) attributes[ATTRIBUTE.conversationId] = options.correlationId;
  if (messages.length !== 1) attributes[ATTRIBUTE.batchCount] = messages.length;
  return attributes;
}

function attributesOfReceipt({ id, partition }: Receipt): Attributes {
  return {
    [ATTRIBUTE.messageId]: id,
    ...(partition === undefined ? {} : { [ATTRIBUTE.partition]: String(partition) }),
  };
}

function attributesOfHandled({ messages, isBatch }: HandleContext): Attributes {
  if (isBatch) return { [ATTRIBUTE.batchCount]: messages.length };
  const { message, attempt } = messages[0]!;
  return {
    [ATTRIBUTE.messageId]: message.id,
    [ATTRIBUTE.subject]: message.subject,
    [ATTRIBUTE.bodySize]: message.body.length,
    [ATTRIBUTE.attempt]: attempt,
    ...(message.partition === undefined ? {} : { [ATTRIBUTE.partition]: String(message.partition) }),
  };
}

function linksTo(created: readonly Context[]): Link[] {
  return created.flatMap((one) => {
    const spanContext = trace.getSpanContext(one);
    return spanContext === undefined ? [] : [{ context: spanContext }];
  });
}

interface Failure {
  readonly type: string;
  readonly message: string;
  readonly stack: string | undefined;
}

/** A retry that was asked for, and a message that was given up, have failed too. */
function failureOf(result: PromiseSettledResult<Outcome>): Failure | undefined {
  if (result.status === "rejected") return failureOfError(result.reason);
  const outcome = result.value;
  if (outcome.kind === "retry" || outcome.kind === "dead-letter")
    return { type: outcome.kind, message: outcome.reason, stack: undefined };
  return undefined;
}

/** Marks the span as failed. Returns the attribute that says of what. */
function fail(span: Span, error: unknown): Attributes {
  const { type, message, stack } = failureOfError(error);
  const failed = { [ATTRIBUTE.errorType]: type };
  span.recordException({ name: type, message, ...(stack === undefined ? {} : { stack }) });
  span.setStatus({ code: SpanStatusCode.ERROR, message }).setAttributes(failed);
  return failed;
}

/** Its type is the code of a `BrokerError`, the class of another error: few, as a metric's attribute has to be. */
function failureOfError(error: unknown): Failure {
  try {
    if (!(error instanceof Error)) return { type: OTHER_ERROR, message: String(error), stack: undefined };
    const type = isBrokerError(error) ? error.code : error.constructor.name || OTHER_ERROR;
    return { type, message: error.message, stack: error.stack };
  } catch {
    return { type: OTHER_ERROR, message: "a value that has no text", stack: undefined };
  }
}

function secondsSince(startedMs: number): number {
  return (systemIo.clock.monotonicMs() - startedMs) / 1000;
}
