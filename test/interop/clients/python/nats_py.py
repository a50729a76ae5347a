"""The tutorials of NATS with nats-py: `nats_py.py URL`. Prints what was seen as one JSON object."""

import asyncio
import json
import sys

import nats

URL = sys.argv[1]


async def take(subscription, count):
    return [await subscription.next_msg(timeout=10) for _ in range(count)]


async def publish_subscribe(client):
    exact = await client.subscribe("py.greet.joe")
    one = await client.subscribe("py.greet.*")
    rest = await client.subscribe("py.>")
    await client.publish("py.greet.joe", b"hello joe", headers={"Lang": "en"})
    await client.publish("py.greet.pam", b"hello pam")
    await client.publish("py.greet.sue.now", b"hello sue")
    first = await take(exact, 1)
    seen = {
        "exact": [[m.subject, m.data.decode(), m.headers] for m in first],
        "one": [m.subject for m in await take(one, 2)],
        "rest": [m.subject for m in await take(rest, 3)],
    }
    for subscription in [exact, one, rest]:
        await subscription.unsubscribe()
    return seen


async def queue_group(client):
    seen = []
    everything = asyncio.Event()

    async def work(message):
        seen.append(message.data.decode())
        if len(seen) == 30:
            everything.set()

    workers = [await client.subscribe("py.work", queue="workers", cb=work) for _ in range(3)]
    for number in range(30):
        await client.publish("py.work", str(number).encode())
    await asyncio.wait_for(everything.wait(), 10)
    await client.flush()
    for worker in workers:
        await worker.drain()
    return sorted(seen, key=int)


async def request_reply(client):
    async def serve(message):
        await message.respond(b"help for " + message.data)

    service = await client.subscribe("py.help", cb=serve)
    reply = await client.request("py.help", b"joe", timeout=10)
    await service.unsubscribe()
    await client.flush()
    try:
        await client.request("py.help", b"pam", timeout=10)
        refused = None
    except nats.errors.NoRespondersError:
        refused = "no responders"
    return {"reply": reply.data.decode(), "refused": refused}


async def main():
    client = await nats.connect(URL)
    seen = {
        "publish/subscribe": await publish_subscribe(client),
        "queue group": await queue_group(client),
        "request/reply": await request_reply(client),
    }
    await client.drain()
    print(json.dumps(seen))


asyncio.run(main())
