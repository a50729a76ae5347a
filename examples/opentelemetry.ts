// OpenTelemetry: one trace from a publish through two handlers, as the SDK sees it. An application would export to a
// collector instead of an array.

import assert from "node:assert/strict";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { command, event, memory, openBus } from "omnibus";
import { openTelemetry } from "omnibus/opentelemetry";

const exporter = new InMemorySpanExporter();
const sdk = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
sdk.register();

const OrderPlaced = event<{ id: string }>("order.placed");
const ReserveStock = command<{ order: string }>("stock.reserve");

await using bus = await openBus(memory());
bus.use(openTelemetry());
bus.on(OrderPlaced, { group: "stock" }, async ({ id }, ctx) => {
  await ctx.send(ReserveStock, { order: id });
});
const reserved = new Promise<string>((resolve) => {
  bus.handle(ReserveStock, ({ order }) => resolve(order));
});

await bus.publish(OrderPlaced, { id: "o-1" });
await reserved;
await bus.drain();

const spans = exporter
  .getFinishedSpans()
  .toSorted((a, b) => a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1]);
for (const { name, parentSpanContext } of spans) {
  const parent = spans.find((span) => span.spanContext().spanId === parentSpanContext?.spanId);
  console.log(`${name}${parent === undefined ? "" : `, because of ${parent.name}`}`);
}
assert.equal(new Set(spans.map((span) => span.spanContext().traceId)).size, 1);
assert.equal(spans.length, 4);
await sdk.shutdown();
