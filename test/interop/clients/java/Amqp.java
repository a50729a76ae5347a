// The tutorials of RabbitMQ with its client for Java: `java Amqp.java URL`. Prints what was seen as one JSON object.

import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

public class Amqp {
  private static final String PREFIX = "java.";
  private static final long LATE_SECONDS = 10;
  private static final List<String> TASKS = List.of("First.", "Second..", "Third...", "Fourth....", "Fifth.....");
  private static final List<String> CRITTERS =
      List.of(
          "quick.orange.rabbit",
          "lazy.orange.elephant",
          "quick.orange.fox",
          "lazy.brown.fox",
          "lazy.pink.rabbit",
          "quick.brown.fox",
          "orange",
          "quick.orange.new.rabbit",
          "lazy.orange.new.rabbit");

  public static void main(String[] arguments) throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(arguments[0]);
    try (Connection connection = factory.newConnection()) {
      Map<String, Object> seen = new LinkedHashMap<>();
      seen.put("hello", hello(connection));
      seen.put("work queues", workQueues(connection));
      seen.put("publish/subscribe", publishSubscribe(connection));
      seen.put("routing", routing(connection));
      seen.put("topics", topics(connection));
      seen.put("rpc", rpc(connection));
      seen.put("publisher confirms", publisherConfirms(connection));
      System.out.println(json(seen));
    }
  }

  private static List<Delivery> take(Connection connection, String queue, int count) throws Exception {
    Channel channel = connection.createChannel();
    BlockingQueue<Delivery> came = new LinkedBlockingQueue<>();
    channel.basicConsume(queue, false, (tag, delivery) -> came.add(delivery), tag -> {});
    List<Delivery> taken = new ArrayList<>();
    while (taken.size() < count) {
      Delivery delivery = next(came);
      channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
      taken.add(delivery);
    }
    channel.close();
    return taken;
  }

  private static <T> T next(BlockingQueue<T> came) throws InterruptedException {
    T one = came.poll(LATE_SECONDS, TimeUnit.SECONDS);
    if (one == null) throw new IllegalStateException("a message did not come");
    return one;
  }

  private static List<String> bodies(List<Delivery> deliveries) {
    return deliveries.stream().map(Amqp::body).collect(Collectors.toList());
  }

  private static String body(Delivery delivery) {
    return new String(delivery.getBody(), StandardCharsets.UTF_8);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static List<String> hello(Connection connection) throws Exception {
    String queue = PREFIX + "hello";
    Channel channel = connection.createChannel();
    channel.queueDeclare(queue, false, false, false, null);
    channel.basicPublish("", queue, null, bytes("Hello World!"));
    List<Delivery> taken = take(connection, queue, 1);
    channel.queueDelete(queue);
    channel.close();
    return bodies(taken);
  }

  private static Map<String, Object> workQueues(Connection connection) throws Exception {
    String queue = PREFIX + "task_queue";
    Channel sender = connection.createChannel();
    sender.queueDeclare(queue, true, false, false, null);
    for (String task : TASKS) sender.basicPublish("", queue, MessageProperties.PERSISTENT_TEXT_PLAIN, bytes(task));
    BlockingQueue<String> done = new LinkedBlockingQueue<>();
    List<String> again = Collections.synchronizedList(new ArrayList<>());
    List<Channel> workers = new ArrayList<>();
    for (int count = 0; count < 2; count += 1) {
      Channel worker = connection.createChannel();
      workers.add(worker);
      worker.basicQos(1);
      worker.basicConsume(
          queue,
          false,
          (tag, delivery) -> {
            long deliveryTag = delivery.getEnvelope().getDeliveryTag();
            boolean isAgain = delivery.getEnvelope().isRedeliver();
            if (body(delivery).equals(TASKS.get(0)) && !isAgain) {
              worker.basicNack(deliveryTag, false, true);
              return;
            }
            if (isAgain) again.add(body(delivery));
            worker.basicAck(deliveryTag, false);
            done.add(body(delivery));
          },
          tag -> {});
    }
    List<String> tasks = new ArrayList<>();
    while (tasks.size() < TASKS.size()) tasks.add(next(done));
    for (Channel worker : workers) worker.close();
    int left = sender.queueDelete(queue).getMessageCount();
    sender.close();
    Collections.sort(tasks);
    return Map.of("done", tasks, "again", again, "left", left);
  }

  private static String boundQueue(Channel channel, String exchange, String... keys) throws Exception {
    String queue = channel.queueDeclare().getQueue();
    for (String key : keys) channel.queueBind(queue, exchange, key);
    return queue;
  }

  private static List<List<String>> publishSubscribe(Connection connection) throws Exception {
    String exchange = PREFIX + "logs";
    Channel channel = connection.createChannel();
    channel.exchangeDeclare(exchange, "fanout");
    List<String> queues = List.of(boundQueue(channel, exchange, ""), boundQueue(channel, exchange, ""));
    for (String line : List.of("one", "two")) channel.basicPublish(exchange, "", null, bytes(line));
    List<List<String>> seen = new ArrayList<>();
    for (String queue : queues) seen.add(bodies(take(connection, queue, 2)));
    channel.exchangeDelete(exchange);
    channel.close();
    return seen;
  }

  private static List<List<String>> routing(Connection connection) throws Exception {
    String exchange = PREFIX + "direct_logs";
    Channel channel = connection.createChannel();
    channel.exchangeDeclare(exchange, "direct");
    String queue = boundQueue(channel, exchange, "warning", "error");
    for (String severity : List.of("info", "warning", "error"))
      channel.basicPublish(exchange, severity, null, bytes("a " + severity));
    List<List<String>> seen = new ArrayList<>();
    for (Delivery delivery : take(connection, queue, 2))
      seen.add(List.of(delivery.getEnvelope().getRoutingKey(), body(delivery)));
    channel.exchangeDelete(exchange);
    channel.close();
    return seen;
  }

  private static Map<String, Object> topics(Connection connection) throws Exception {
    String exchange = PREFIX + "topic_logs";
    Channel channel = connection.createChannel();
    channel.exchangeDeclare(exchange, "topic");
    String orange = boundQueue(channel, exchange, "*.orange.*");
    String rabbits = boundQueue(channel, exchange, "*.*.rabbit", "lazy.#");
    for (String critter : CRITTERS) channel.basicPublish(exchange, critter, null, bytes(critter));
    List<String> seenOrange = bodies(take(connection, orange, 3));
    List<String> seenRabbits = bodies(take(connection, rabbits, 5));
    channel.exchangeDelete(exchange);
    channel.close();
    return Map.of("orange", seenOrange, "rabbits", seenRabbits);
  }

  private static int fibonacci(int n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
  }

  private static Map<String, Object> rpc(Connection connection) throws Exception {
    String queue = PREFIX + "rpc_queue";
    Channel server = connection.createChannel();
    server.queueDeclare(queue, false, false, false, null);
    server.basicConsume(
        queue,
        false,
        (tag, request) -> {
          BasicProperties asked = request.getProperties();
          BasicProperties properties =
              new BasicProperties.Builder().correlationId(asked.getCorrelationId()).build();
          String answer = String.valueOf(fibonacci(Integer.parseInt(body(request))));
          server.basicPublish("", asked.getReplyTo(), properties, bytes(answer));
          server.basicAck(request.getEnvelope().getDeliveryTag(), false);
        },
        tag -> {});
    Map<String, Object> seen = new LinkedHashMap<>();
    for (String way : List.of("a queue", "direct reply-to")) {
      Channel asker = connection.createChannel();
      String replyTo = way.equals("a queue") ? asker.queueDeclare().getQueue() : "amq.rabbitmq.reply-to";
      BlockingQueue<Delivery> answers = new LinkedBlockingQueue<>();
      asker.basicConsume(replyTo, true, (tag, answer) -> answers.add(answer), tag -> {});
      BasicProperties properties =
          new BasicProperties.Builder().replyTo(replyTo).correlationId("ask-1").build();
      asker.basicPublish("", queue, properties, bytes("10"));
      Delivery answer = next(answers);
      seen.put(way, List.of(List.of(answer.getProperties().getCorrelationId(), body(answer))));
      asker.close();
    }
    server.queueDelete(queue);
    server.close();
    return seen;
  }

  private static Map<String, Object> publisherConfirms(Connection connection) throws Exception {
    String queue = PREFIX + "confirmed";
    Channel channel = connection.createChannel();
    channel.queueDeclare(queue, true, false, false, null);
    channel.confirmSelect();
    BlockingQueue<List<Object>> returned = new LinkedBlockingQueue<>();
    channel.addReturnListener(back -> returned.add(List.of(back.getReplyCode(), back.getReplyText())));
    for (int number = 0; number < 20; number += 1) {
      Map<String, Object> headers = Map.of("number", number);
      BasicProperties properties = new BasicProperties.Builder().deliveryMode(2).headers(headers).build();
      channel.basicPublish("", queue, properties, bytes(String.valueOf(number)));
    }
    channel.waitForConfirmsOrDie(LATE_SECONDS * 1000);
    channel.basicPublish("", PREFIX + "nowhere", true, null, bytes("lost"));
    channel.waitForConfirmsOrDie(LATE_SECONDS * 1000);
    List<Object> refused = next(returned);
    List<Object> numbers = new ArrayList<>();
    for (Delivery delivery : take(connection, queue, 20))
      numbers.add(delivery.getProperties().getHeaders().get("number"));
    channel.queueDelete(queue);
    channel.close();
    return Map.of("numbers", numbers, "refused", refused);
  }

  private static String json(Object value) {
    if (value instanceof Map<?, ?> map)
      return map.entrySet().stream()
          .map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
          .collect(Collectors.joining(",", "{", "}"));
    if (value instanceof List<?> list)
      return list.stream().map(Amqp::json).collect(Collectors.joining(",", "[", "]"));
    return value instanceof Number ? value.toString() : "\"" + value + "\"";
  }
}
