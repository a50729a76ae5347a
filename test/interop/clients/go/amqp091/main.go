// The tutorials of RabbitMQ with rabbitmq/amqp091-go, and with streadway/amqp, which it was made from: a copy with the other
// import is compiled as well. What was seen is printed as one JSON object.
package main

import (
	amqp "github.com/rabbitmq/amqp091-go"

	"omnibus.example/interop/tutorials"
)

type connection struct{ *amqp.Connection }

type channel struct{ *amqp.Channel }

func main() {
	tutorials.Run(func(url string) (tutorials.Connection, error) {
		dialled, err := amqp.Dial(url)
		return connection{dialled}, err
	})
}

func (c connection) Channel() (tutorials.Channel, error) {
	opened, err := c.Connection.Channel()
	return channel{opened}, err
}

func (c channel) DeclareQueue(name string, durable, exclusive bool) (string, error) {
	queue, err := c.QueueDeclare(name, durable, false, exclusive, false, nil)
	return queue.Name, err
}

func (c channel) DeclareExchange(name, kind string) error {
	return c.ExchangeDeclare(name, kind, false, false, false, false, nil)
}

func (c channel) BindQueue(queue, exchange, key string) error {
	return c.QueueBind(queue, key, exchange, false, nil)
}

func (c channel) DeleteQueue(name string) (int, error) {
	return c.QueueDelete(name, false, false, false)
}

func (c channel) DeleteExchange(name string) error { return c.ExchangeDelete(name, false, false) }

func (c channel) Send(exchange, key string, message tutorials.Message) error {
	return c.Publish(exchange, key, message.Mandatory, false, amqp.Publishing{
		Body:          []byte(message.Body),
		DeliveryMode:  message.DeliveryMode,
		ReplyTo:       message.ReplyTo,
		CorrelationId: message.CorrelationID,
		Headers:       amqp.Table(message.Headers),
	})
}

func (c channel) Receive(queue string, prefetch int, noAck bool) (<-chan tutorials.Delivery, error) {
	if prefetch > 0 {
		if err := c.Qos(prefetch, 0, false); err != nil {
			return nil, err
		}
	}
	deliveries, err := c.Consume(queue, "", noAck, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	received := make(chan tutorials.Delivery)
	go func() {
		defer close(received)
		for delivery := range deliveries {
			received <- tutorials.Delivery{
				Message: tutorials.Message{
					Body:          string(delivery.Body),
					ReplyTo:       delivery.ReplyTo,
					CorrelationID: delivery.CorrelationId,
					Headers:       delivery.Headers,
				},
				RoutingKey:  delivery.RoutingKey,
				Redelivered: delivery.Redelivered,
				Ack:         func() error { return delivery.Ack(false) },
				Nack:        func() error { return delivery.Nack(false, true) },
			}
		}
	}()
	return received, nil
}

func (c channel) Confirmed() (<-chan bool, <-chan tutorials.Return, error) {
	if err := c.Confirm(false); err != nil {
		return nil, nil, err
	}
	confirms := make(chan bool, 100)
	notified := c.NotifyPublish(make(chan amqp.Confirmation, 100))
	go func() {
		for confirmation := range notified {
			confirms <- confirmation.Ack
		}
	}()
	returns := make(chan tutorials.Return, 100)
	returned := c.NotifyReturn(make(chan amqp.Return, 100))
	go func() {
		for one := range returned {
			returns <- tutorials.Return{Code: int(one.ReplyCode), Text: one.ReplyText}
		}
	}()
	return confirms, returns, nil
}
