"""The tutorials of RabbitMQ with pika: `amqp_pika.py URL`. Prints what was seen as one JSON object."""

import json
import sys

import pika

URL = sys.argv[1]
PREFIX = "pika."
TASKS = ["First.", "Second..", "Third...", "Fourth....", "Fifth....."]
CRITTERS = [
    "quick.orange.rabbit",
    "lazy.orange.elephant",
    "quick.orange.fox",
    "lazy.brown.fox",
    "lazy.pink.rabbit",
    "quick.brown.fox",
    "orange",
    "quick.orange.new.rabbit",
    "lazy.orange.new.rabbit",
]


def take(channel, queue, count):
    """The next messages of a queue, acknowledged one by one."""
    taken = []
    for method, properties, body in channel.consume(queue, inactivity_timeout=10):
        if method is None:
            raise SystemExit(f"{queue}: only {len(taken)} of {count} messages came")
        channel.basic_ack(method.delivery_tag)
        taken.append((method, properties, body.decode()))
        if len(taken) == count:
            break
    channel.cancel()
    return taken


def bodies(taken):
    return [body for _, _, body in taken]


def hello(channel):
    queue = PREFIX + "hello"
    channel.queue_declare(queue)
    channel.basic_publish("", queue, b"Hello World!")
    seen = bodies(take(channel, queue, 1))
    channel.queue_delete(queue)
    return seen


def work_queues(connection):
    queue = PREFIX + "task_queue"
    sender = connection.channel()
    sender.queue_declare(queue, durable=True)
    for task in TASKS:
        sender.basic_publish("", queue, task.encode(), pika.BasicProperties(delivery_mode=2))
    done = []
    again = []

    def work(channel, method, _properties, body):
        task = body.decode()
        if task == TASKS[0] and not method.redelivered:
            channel.basic_nack(method.delivery_tag, requeue=True)
            return
        if method.redelivered:
            again.append(task)
        done.append(task)
        channel.basic_ack(method.delivery_tag)

    workers = [connection.channel(), connection.channel()]
    for worker in workers:
        worker.basic_qos(prefetch_count=1)
        worker.basic_consume(queue, work)
    while len(done) < len(TASKS):
        connection.process_data_events(time_limit=1)
    for worker in workers:
        worker.close()
    left = sender.queue_delete(queue).method.message_count
    return {"done": sorted(done), "again": again, "left": left}


def publish_subscribe(channel):
    exchange = PREFIX + "logs"
    channel.exchange_declare(exchange, "fanout")
    queues = [channel.queue_declare("", exclusive=True).method.queue for _ in range(2)]
    for queue in queues:
        channel.queue_bind(queue, exchange)
    for line in ["one", "two"]:
        channel.basic_publish(exchange, "", line.encode())
    seen = [bodies(take(channel, queue, 2)) for queue in queues]
    channel.exchange_delete(exchange)
    return seen


def routing(channel):
    exchange = PREFIX + "direct_logs"
    channel.exchange_declare(exchange, "direct")
    queue = channel.queue_declare("", exclusive=True).method.queue
    for severity in ["warning", "error"]:
        channel.queue_bind(queue, exchange, severity)
    for severity in ["info", "warning", "error"]:
        channel.basic_publish(exchange, severity, f"a {severity}".encode())
    seen = [[method.routing_key, body] for method, _, body in take(channel, queue, 2)]
    channel.exchange_delete(exchange)
    return seen


def topics(channel):
    exchange = PREFIX + "topic_logs"
    channel.exchange_declare(exchange, "topic")
    queues = {}
    for name, keys in {"orange": ["*.orange.*"], "rabbits": ["*.*.rabbit", "lazy.#"]}.items():
        queues[name] = channel.queue_declare("", exclusive=True).method.queue
        for key in keys:
            channel.queue_bind(queues[name], exchange, key)
    for critter in CRITTERS:
        channel.basic_publish(exchange, critter, critter.encode())
    seen = {"orange": bodies(take(channel, queues["orange"], 3))}
    seen["rabbits"] = bodies(take(channel, queues["rabbits"], 5))
    channel.exchange_delete(exchange)
    return seen


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def rpc(connection):
    queue = PREFIX + "rpc_queue"
    server = connection.channel()
    server.queue_declare(queue)

    def serve(channel, method, properties, body):
        answer = str(fibonacci(int(body))).encode()
        correlation = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", properties.reply_to, answer, correlation)
        channel.basic_ack(method.delivery_tag)

    server.basic_consume(queue, serve)
    seen = {}
    for way in ["a queue", "direct reply-to"]:
        client = connection.channel()
        direct = way == "direct reply-to"
        reply_to = "amq.rabbitmq.reply-to" if direct else client.queue_declare("", exclusive=True).method.queue
        answers = []
        client.basic_consume(
            reply_to,
            lambda _c, _m, properties, body: answers.append([properties.correlation_id, body.decode()]),
            auto_ack=True,
        )
        properties = pika.BasicProperties(reply_to=reply_to, correlation_id="ask-1")
        client.basic_publish("", queue, b"10", properties)
        while not answers:
            connection.process_data_events(time_limit=1)
        seen[way] = answers
        client.close()
    server.queue_delete(queue)
    return seen


def publisher_confirms(connection):
    queue = PREFIX + "confirmed"
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for number in range(20):
        properties = pika.BasicProperties(delivery_mode=2, headers={"number": number})
        channel.basic_publish("", queue, str(number).encode(), properties, mandatory=True)
    refused = None
    try:
        channel.basic_publish("", PREFIX + "nowhere", b"lost", mandatory=True)
    except pika.exceptions.UnroutableError as error:
        method = error.messages[0].method
        refused = [method.reply_code, method.reply_text]
    headers = [properties.headers["number"] for _, properties, _ in take(channel, queue, 20)]
    channel.queue_delete(queue)
    return {"numbers": headers, "refused": refused}


def main():
    parameters = pika.URLParameters(URL)
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    seen = {
        "hello": hello(channel),
        "work queues": work_queues(connection),
        "publish/subscribe": publish_subscribe(channel),
        "routing": routing(channel),
        "topics": topics(channel),
        "rpc": rpc(connection),
        "publisher confirms": publisher_confirms(connection),
    }
    connection.close()
    print(json.dumps(seen))


main()
