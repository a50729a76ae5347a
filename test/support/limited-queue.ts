// A queue `work` with limits, and what tests of limits do with it.

import type { QueueOptions } from "../../src/broker/limits.js";
import { type BrokerWorld, message } from "./broker-world.js";

export async function limited(world: BrokerWorld, options: Partial<QueueOptions>) {
  const broker = await world.open();
  const queue = await broker.declareQueue("work", options);
  const publish = async (...values: string[]): Promise<void> => {
    for (const value of values) queue.append(message(value));
    await broker.flush();
    await world.quiet();
  };
  const waiting = async (): Promise<string[]> => {
    const values: string[] = [];
    for await (const { record } of queue.browse()) values.push(record.valueText());
    return values;
  };
  return { broker, queue, publish, waiting };
}
