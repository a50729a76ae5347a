import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import { ack, command, deadLetter, event, type Middleware, reply, retry } from "../../src/index.js";
import { contextOf, type OpenTelemetryOptions, openTelemetry } from "../../src/observe/opentelemetry.js";
import { failsWith, testBus } from "../support/buses.js";

const Placed = event<{ readonly id: string }>("order.placed");
const Work = command<number>("work");

// As an application does at its start: the context of this process, and W3C's headers.
new NodeTracerProvider().register();

/** The middleware, and what the real SDK has got of it. */
function telemetry(t: TestContext, options: OpenTelemetryOptions = {}) {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const reader = new PeriodicExportingMetricReader({
    exporter: new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE),
    exportIntervalMillis: 2 ** 30,
  });
  const meterProvider = new MeterProvider({ readers: [reader] });
  t.after(() => Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()]));
  const middleware: Middleware = openTelemetry({ tracerProvider, meterProvider, ...options });
  return {
    middleware,
    tracer: tracerProvider.getTracer("test"),
    spans: (): ReadableSpan[] => exporter.getFinishedSpans(),
    span: (name: string): ReadableSpan => {
      const found = exporter.getFinishedSpans().filter((span) => span.name === name);
      assert.equal(found.length, 1, `one span ${name}`);
      return found[0]!;
    },
    /** The points of each metric: its attributes, and the sum or count. */
    metrics: async () => {
      const { resourceMetrics, errors } = await reader.collect();
      assert.deepEqual(errors, []);
      return Object.fromEntries(
        resourceMetrics.scopeMetrics
          .flatMap(({ metrics }) => metrics)
          .map(({ descriptor, dataPoints }) => [
            descriptor.name,
            {
              unit: descriptor.unit,
              points: dataPoints.map(({ attributes, value }) => ({
                attributes,
                value: typeof value === "number" ? value : value.count,
                sum: typeof value === "number" ? value : value.sum,
                boundaries:
                  typeof value === "number" || !("buckets" in value) ? [] : value.buckets.boundaries,
              })),
            },
          ]),
      );
    },
  };
}

const SENT = {
  "messaging.system": "omnibus",
  "messaging.operation.name": "publish",
  "messaging.operation.type": "send",
  "messaging.destination.name": "order",
};
const PROCESSED = {
  "messaging.system": "omnibus",
  "messaging.operation.name": "process",
  "messaging.operation.type": "process",
  "messaging.destination.name": "order",
  "messaging.consumer.group.name": "billing",
};

test("a publish and its handler are two spans of one trace, named and described by the conventions", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  bus.on(Placed, { group: "billing" }, () => {});
  const receipt = await bus.publish(Placed, { id: "o-1" });
  await bus.settled();

  const sent = otel.span("publish order");
  assert.equal(sent.kind, SpanKind.PRODUCER);
  assert.equal(sent.parentSpanContext, undefined);
  assert.deepEqual(sent.attributes, {
    ...SENT,
    "messaging.omnibus.message.subject": "order.placed",
    "messaging.message.id": receipt.id,
    "messaging.destination.partition.id": "0",
  });
  const processed = otel.span("process order");
  assert.equal(processed.kind, SpanKind.CONSUMER);
  assert.equal(processed.parentSpanContext?.spanId, sent.spanContext().spanId);
  assert.equal(processed.spanContext().traceId, sent.spanContext().traceId);
  assert.deepEqual(
    processed.links.map((link) => link.context.spanId),
    [sent.spanContext().spanId],
  );
  assert.deepEqual(processed.attributes, {
    ...PROCESSED,
    "messaging.omnibus.message.subject": "order.placed",
    "messaging.omnibus.message.attempt": 1,
    "messaging.omnibus.outcome": "ack",
    "messaging.message.id": receipt.id,
    "messaging.message.body.size": Buffer.byteLength('{"id":"o-1"}'),
    "messaging.destination.partition.id": "0",
  });
  for (const { status } of otel.spans()) assert.equal(status.code, SpanStatusCode.UNSET);
});

test("the trace context travels in the headers of W3C, beside those of the application", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  await bus.queue("plain").send("text", { headers: { tenant: "acme" } });
  const [delivery] = await bus.queue("plain").receiveBatch({ max: 1 });
  const { traceId, spanId } = otel.span("send plain").spanContext();
  assert.deepEqual(delivery!.message.headers, { tenant: "acme", traceparent: `00-${traceId}-${spanId}-01` });
  assert.equal(trace.getSpanContext(contextOf(delivery!.message))?.spanId, spanId);
  assert.equal(trace.getSpanContext(contextOf(delivery!.message))?.isRemote, true);
});

test("what a handler sends belongs to the trace of its message, whoever stored that", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  const Next = command<number>("next");
  bus.handle(Work, async (number) => {
    await Promise.resolve();
    await bus.send(Next, number);
  });
  bus.handle(Next, () => {});
  // Both are stored by one commit: its turn belongs to one of the two traces at most.
  const roots = [1, 2].map((number) =>
    otel.tracer.startActiveSpan(`request ${number}`, async (root) => {
      await bus.send(Work, number);
      root.end();
      return root.spanContext().traceId;
    }),
  );
  const traceIds = await Promise.all(roots);
  await bus.settled();
  for (const traceId of traceIds) {
    const names = otel
      .spans()
      .filter((span) => span.spanContext().traceId === traceId)
      .map(({ name }) => name)
      .map((name) => name.replace(/\d/, ""));
    assert.deepEqual(names.sort(), ["process next", "process work", "request ", "send next", "send work"]);
  }
});

test("a batch is one span, linked to every message that it handles", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  await bus.send(Work, 1);
  await bus.sendMany(Work, [2, 3]);
  bus.handle(Work, { batch: { max: 10 } }, (batch) => batch.map(() => ack()));
  await bus.settled();
  const [single, many] = otel.spans().filter(({ name }) => name === "send work");
  assert.equal(many!.attributes["messaging.batch.message_count"], 2);
  assert.equal("messaging.message.id" in many!.attributes, false);
  const processed = otel.span("process work");
  assert.equal(processed.attributes["messaging.batch.message_count"], 3);
  assert.equal(processed.parentSpanContext, undefined);
  assert.notEqual(processed.spanContext().traceId, single!.spanContext().traceId);
  assert.deepEqual(
    processed.links.map((link) => link.context.spanId),
    [single, many, many].map((span) => span!.spanContext().spanId),
  );
});

test("with continueTrace off a handler's span is linked and begins a trace of its own", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t, { continueTrace: false });
  bus.use(otel.middleware);
  const baggage: unknown[] = [];
  bus.handle(Work, () => void baggage.push(propagation.getActiveBaggage()?.getEntry("tenant")?.value));
  const withTenant = propagation.setBaggage(
    ROOT_CONTEXT,
    propagation.createBaggage({ tenant: { value: "acme" } }),
  );
  await context.with(withTenant, () => bus.send(Work, 1));
  await bus.settled();
  const sent = otel.span("send work").spanContext();
  const processed = otel.span("process work");
  assert.equal(processed.parentSpanContext, undefined);
  assert.notEqual(processed.spanContext().traceId, sent.traceId);
  assert.deepEqual(
    processed.links.map((link) => link.context.spanId),
    [sent.spanId],
  );
  assert.deepEqual(baggage, ["acme"]);
});

test("a message that brings its own creation context keeps it, and the sending span is linked to it", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  bus.handle(Work, () => {});
  await bus.send(Work, 1, { headers: { traceparent } });
  await bus.settled();
  assert.deepEqual(
    otel.span("send work").links.map((link) => link.context.spanId),
    ["b7ad6b7169203331"],
  );
  const processed = otel.span("process work");
  assert.equal(processed.spanContext().traceId, "0af7651916cd43dd8448eb211c80319c");
  assert.equal(processed.parentSpanContext?.spanId, "b7ad6b7169203331");
});

test("what an exchange leads to several places is one span of its publish, and one of each handler", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  const fan = bus.exchange("fan", { kind: "fanout" });
  for (const name of ["a", "b"]) {
    await fan.bind(bus.queue(name));
    bus.queue(name).consume(() => {});
  }
  await fan.publish("news", "text");
  await bus.exchange("").publish("nobody.listens", "text");
  await bus.settled();
  const published = otel.span("publish fan").spanContext();
  for (const name of ["process a", "process b"])
    assert.equal(otel.span(name).parentSpanContext?.spanId, published.spanId);
  assert.equal(otel.span("publish").attributes["messaging.omnibus.message.subject"], "nobody.listens");
});

test("a request is a span that its answer can be found by", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  const Ask = command<number, number>("ask");
  bus.handle(Ask, (number) => reply(number + 1));
  await bus.request(Ask, 1);
  await bus.settled();
  assert.equal(otel.span("process ask").attributes["messaging.omnibus.outcome"], "reply");
  assert.equal(typeof otel.span("send ask").attributes["messaging.message.conversation_id"], "string");
});

test("a publish that fails is a failed span, with the code of the error", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  await failsWith("MESSAGE_TOO_LARGE", () => bus.queue("small", { messageBytesMax: 1 }).send("too long"));
  const span = otel.span("send small");
  assert.equal(span.status.code, SpanStatusCode.ERROR);
  assert.equal(span.attributes["error.type"], "MESSAGE_TOO_LARGE");
  assert.deepEqual(
    span.events.map(({ name, attributes }) => [name, attributes?.["exception.type"]]),
    [["exception", "MESSAGE_TOO_LARGE"]],
  );
});

test("every attempt is a span, and a failed one says why", async (t) => {
  class OutOfStock extends Error {}
  class Hostile extends Error {
    override get message(): string {
      throw new Error("no message");
    }
  }
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  bus.handle(Work, { retry: { attempts: 4, delay: "1s" } }, (_, { attempt }) => {
    if (attempt === 1) throw new OutOfStock("no tea");
    if (attempt === 2) return retry({ reason: "not yet" });
    if (attempt === 3) throw new Hostile();
    return deadLetter("given up");
  });
  await bus.send(Work, 1);
  await bus.advance("1h");
  const spans = otel.spans().filter(({ name }) => name === "process work");
  assert.deepEqual(
    spans.map(({ attributes, status }) => [
      attributes["messaging.omnibus.message.attempt"],
      attributes["messaging.omnibus.outcome"],
      attributes["error.type"],
      status.code,
      status.message,
    ]),
    [
      [1, undefined, "OutOfStock", SpanStatusCode.ERROR, "no tea"],
      [2, "retry", "retry", SpanStatusCode.ERROR, "not yet"],
      [3, undefined, "_OTHER", SpanStatusCode.ERROR, "a value that has no text"],
      [4, "dead-letter", "dead-letter", SpanStatusCode.ERROR, "given up"],
    ],
  );
  assert.match(String(spans[0]!.events[0]!.attributes?.["exception.stacktrace"]), /no tea/);
});

test("of a batch that fails in part, the first failure is the span's, and each message counts as what it was", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  await bus.sendMany(Work, [1, 2, 3]);
  bus.handle(Work, { batch: { max: 10 }, retry: { attempts: 1 } }, (batch) =>
    batch.map(({ value }) => {
      if (value === 2) throw new RangeError("two");
      return value === 3 ? deadLetter("three") : ack();
    }),
  );
  await bus.settled();
  assert.equal(otel.span("process work").attributes["error.type"], "RangeError");
  const { "messaging.client.consumed.messages": consumed } = await otel.metrics();
  assert.deepEqual(
    consumed!.points.map(({ attributes, value }) => [attributes["error.type"], value]),
    [
      [undefined, 1],
      ["RangeError", 1],
      ["dead-letter", 1],
    ],
  );
});

test("the four metrics of the conventions, with their units and buckets, and few attributes", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  bus.on(Placed, { group: "billing" }, () => {});
  await bus.publish(Placed, { id: "1" });
  await bus.publishMany(Placed, [{ id: "2" }, { id: "3" }]);
  await bus.settled();
  const metrics = await otel.metrics();
  assert.deepEqual(
    Object.entries(metrics).map(([name, { unit, points }]) => [
      name,
      unit,
      points.map(({ attributes, value }) => [attributes, value]),
    ]),
    [
      ["messaging.client.operation.duration", "s", [[SENT, 2]]],
      ["messaging.process.duration", "s", [[PROCESSED, 3]]],
      ["messaging.client.sent.messages", "{message}", [[SENT, 3]]],
      ["messaging.client.consumed.messages", "{message}", [[PROCESSED, 3]]],
    ],
  );
  assert.deepEqual(
    metrics["messaging.process.duration"]!.points[0]!.boundaries,
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  );
});

test("durations are in seconds, and no longer than what they measure", async (t) => {
  const bus = await testBus(t);
  const otel = telemetry(t);
  bus.use(otel.middleware);
  const beganMs = performance.now();
  bus.handle(Work, () => {
    const untilMs = performance.now() + 3;
    while (performance.now() < untilMs);
  });
  await bus.send(Work, 1);
  await bus.settled();
  const elapsedMs = performance.now() - beganMs;
  const metrics = await otel.metrics();
  const processedMs = metrics["messaging.process.duration"]!.points[0]!.sum! * 1000;
  assert.ok(processedMs >= 3 && processedMs <= elapsedMs, `${processedMs} of ${elapsedMs} ms`);
  assert.ok(metrics["messaging.client.operation.duration"]!.points[0]!.sum! * 1000 <= elapsedMs);
});

test("an option that does not exist is refused", async () => {
  await failsWith("INVALID_OPTION", () => openTelemetry({ tracer: 1 } as object), /no option tracer/);
});

test("without an SDK, messages are as they would be without the middleware", async (t) => {
  const bus = await testBus(t);
  bus.use(openTelemetry({ propagator: { inject: () => {}, extract: (own) => own } }));
  const headers: unknown[] = [];
  bus.handle(Work, (_, { message }) => void headers.push(message.headers));
  await bus.send(Work, 1);
  await bus.settled();
  assert.deepEqual(headers, [{}]);
});
