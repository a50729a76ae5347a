// The tutorials of NATS with its client for Node. What was seen is printed as one JSON object.

import { connect, headers, NoRespondersError, RequestError } from "@nats-io/transport-node";

const client = await connect({ servers: process.argv[2] });
const seen = {
  "publish/subscribe": await publishSubscribe(),
  "queue group": await queueGroup(),
  "request/reply": await requestReply(),
};
await client.drain();
process.stdout.write(`${JSON.stringify(seen)}\n`);

async function take(subscription) {
  const taken = [];
  for await (const message of subscription) taken.push(message);
  return taken;
}

async function publishSubscribe() {
  const exact = client.subscribe("js.greet.joe", { max: 1 });
  const one = client.subscribe("js.greet.*", { max: 2 });
  const rest = client.subscribe("js.>", { max: 3 });
  const language = headers();
  language.set("Lang", "en");
  client.publish("js.greet.joe", "hello joe", { headers: language });
  client.publish("js.greet.pam", "hello pam");
  client.publish("js.greet.sue.now", "hello sue");
  const [first] = await take(exact);
  return {
    exact: [first.subject, first.string(), first.headers.get("Lang")],
    one: (await take(one)).map(({ subject }) => subject),
    rest: (await take(rest)).map(({ subject }) => subject),
  };
}

async function queueGroup() {
  const seen = [];
  await new Promise((resolve) => {
    const callback = (_error, message) => {
      seen.push(Number(message.string()));
      if (seen.length === 30) resolve();
    };
    for (let worker = 0; worker < 3; worker += 1) client.subscribe("js.work", { queue: "workers", callback });
    for (let number = 0; number < 30; number += 1) client.publish("js.work", String(number));
  });
  await client.flush();
  return seen.sort((a, b) => a - b);
}

async function requestReply() {
  const service = client.subscribe("js.help", {
    callback: (_error, message) => message.respond(`help for ${message.string()}`),
  });
  const reply = await client.request("js.help", "joe", { timeout: 10_000 });
  service.unsubscribe();
  await client.flush();
  let refused = null;
  try {
    await client.request("js.help", "pam", { timeout: 10_000 });
  } catch (error) {
    if (error instanceof NoRespondersError) refused = "no responders";
    else if (error instanceof RequestError && error.isNoResponders()) refused = "no responders";
    else throw error;
  }
  return { reply: reply.string(), refused };
}
