// Package tutorials has the tutorials of RabbitMQ, written once for every client of Go.
package tutorials

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"
)

// Message is what a program sends.
type Message struct {
	Body          string
	DeliveryMode  uint8
	ReplyTo       string
	CorrelationID string
	Mandatory     bool
	Headers       map[string]interface{}
}

// Delivery is what a program gets.
type Delivery struct {
	Message
	RoutingKey  string
	Redelivered bool
	Ack         func() error
	Nack        func() error
}

// Return is why a message came back.
type Return struct {
	Code int
	Text string
}

// Connection and Channel are the few verbs of a client that the tutorials need.
type Connection interface {
	Channel() (Channel, error)
	Close() error
}

type Channel interface {
	DeclareQueue(name string, durable, exclusive bool) (string, error)
	DeclareExchange(name, kind string) error
	BindQueue(queue, exchange, key string) error
	DeleteQueue(name string) (int, error)
	DeleteExchange(name string) error
	Send(exchange, key string, message Message) error
	Receive(queue string, prefetch int, noAck bool) (<-chan Delivery, error)
	Confirmed() (<-chan bool, <-chan Return, error)
	Close() error
}

const late = 10 * time.Second

var tasks = []string{"First.", "Second..", "Third...", "Fourth....", "Fifth....."}

var critters = []string{
	"quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox", "lazy.pink.rabbit",
	"quick.brown.fox", "orange", "quick.orange.new.rabbit", "lazy.orange.new.rabbit",
}

type suite struct {
	connection Connection
	prefix     string
}

// Run runs them all against the server that the first argument names, and prints what was seen as one JSON object. What it
// declares there begins with the name of the program.
func Run(dial func(url string) (Connection, error)) {
	connection := must(dial(os.Args[1]))
	s := suite{connection, filepath.Base(os.Args[0]) + "."}
	seen := map[string]interface{}{
		"hello":              s.hello(),
		"work queues":        s.workQueues(),
		"publish/subscribe":  s.publishSubscribe(),
		"routing":            s.routing(),
		"topics":             s.topics(),
		"rpc":                s.rpc(),
		"publisher confirms": s.publisherConfirms(),
	}
	check(connection.Close())
	check(json.NewEncoder(os.Stdout).Encode(seen))
}

func (s suite) channel() Channel { return must(s.connection.Channel()) }

// next waits for one delivery.
func next(deliveries <-chan Delivery) Delivery {
	select {
	case delivery, isOpen := <-deliveries:
		if !isOpen {
			check(fmt.Errorf("the channel was closed"))
		}
		return delivery
	case <-time.After(late):
		check(fmt.Errorf("a message did not come"))
		panic("not reached")
	}
}

// take acknowledges the next messages of a queue.
func (s suite) take(queue string, count int) []Delivery {
	channel := s.channel()
	deliveries := must(channel.Receive(queue, 0, false))
	taken := []Delivery{}
	for len(taken) < count {
		delivery := next(deliveries)
		check(delivery.Ack())
		taken = append(taken, delivery)
	}
	check(channel.Close())
	return taken
}

func bodies(deliveries []Delivery) []string {
	found := []string{}
	for _, delivery := range deliveries {
		found = append(found, delivery.Body)
	}
	return found
}

func (s suite) hello() []string {
	queue, channel := s.prefix+"hello", s.channel()
	must(channel.DeclareQueue(queue, false, false))
	check(channel.Send("", queue, Message{Body: "Hello World!"}))
	taken := s.take(queue, 1)
	must(channel.DeleteQueue(queue))
	check(channel.Close())
	return bodies(taken)
}

func (s suite) workQueues() map[string]interface{} {
	queue, sender := s.prefix+"task_queue", s.channel()
	must(sender.DeclareQueue(queue, true, false))
	for _, task := range tasks {
		check(sender.Send("", queue, Message{Body: task, DeliveryMode: 2}))
	}
	workers := []Channel{s.channel(), s.channel()}
	first := must(workers[0].Receive(queue, 1, false))
	second := must(workers[1].Receive(queue, 1, false))
	done, again := []string{}, []string{}
	for len(done) < len(tasks) {
		var delivery Delivery
		select {
		case delivery = <-first:
		case delivery = <-second:
		case <-time.After(late):
			check(fmt.Errorf("only %d tasks were done", len(done)))
		}
		if delivery.Body == tasks[0] && !delivery.Redelivered {
			check(delivery.Nack())
			continue
		}
		if delivery.Redelivered {
			again = append(again, delivery.Body)
		}
		done = append(done, delivery.Body)
		check(delivery.Ack())
	}
	for _, worker := range workers {
		check(worker.Close())
	}
	left := must(sender.DeleteQueue(queue))
	check(sender.Close())
	sort.Strings(done)
	return map[string]interface{}{"done": done, "again": again, "left": left}
}

func (s suite) boundQueue(channel Channel, exchange string, keys ...string) string {
	queue := must(channel.DeclareQueue("", false, true))
	for _, key := range keys {
		check(channel.BindQueue(queue, exchange, key))
	}
	return queue
}

func (s suite) publishSubscribe() [][]string {
	exchange, channel := s.prefix+"logs", s.channel()
	check(channel.DeclareExchange(exchange, "fanout"))
	queues := []string{s.boundQueue(channel, exchange, ""), s.boundQueue(channel, exchange, "")}
	for _, line := range []string{"one", "two"} {
		check(channel.Send(exchange, "", Message{Body: line}))
	}
	seen := [][]string{}
	for _, queue := range queues {
		seen = append(seen, bodies(s.take(queue, 2)))
	}
	check(channel.DeleteExchange(exchange))
	check(channel.Close())
	return seen
}

func (s suite) routing() [][]string {
	exchange, channel := s.prefix+"direct_logs", s.channel()
	check(channel.DeclareExchange(exchange, "direct"))
	queue := s.boundQueue(channel, exchange, "warning", "error")
	for _, severity := range []string{"info", "warning", "error"} {
		check(channel.Send(exchange, severity, Message{Body: "a " + severity}))
	}
	seen := [][]string{}
	for _, delivery := range s.take(queue, 2) {
		seen = append(seen, []string{delivery.RoutingKey, delivery.Body})
	}
	check(channel.DeleteExchange(exchange))
	check(channel.Close())
	return seen
}

func (s suite) topics() map[string][]string {
	exchange, channel := s.prefix+"topic_logs", s.channel()
	check(channel.DeclareExchange(exchange, "topic"))
	orange := s.boundQueue(channel, exchange, "*.orange.*")
	rabbits := s.boundQueue(channel, exchange, "*.*.rabbit", "lazy.#")
	for _, critter := range critters {
		check(channel.Send(exchange, critter, Message{Body: critter}))
	}
	seen := map[string][]string{"orange": bodies(s.take(orange, 3)), "rabbits": bodies(s.take(rabbits, 5))}
	check(channel.DeleteExchange(exchange))
	check(channel.Close())
	return seen
}

func fibonacci(n int) int {
	if n < 2 {
		return n
	}
	return fibonacci(n-1) + fibonacci(n-2)
}

func (s suite) rpc() map[string][][]string {
	queue, server := s.prefix+"rpc_queue", s.channel()
	must(server.DeclareQueue(queue, false, false))
	requests := must(server.Receive(queue, 0, false))
	seen := map[string][][]string{}
	for _, way := range []string{"a queue", "direct reply-to"} {
		asker, replyTo := s.channel(), "amq.rabbitmq.reply-to"
		if way == "a queue" {
			replyTo = must(asker.DeclareQueue("", false, true))
		}
		answers := must(asker.Receive(replyTo, 0, true))
		check(asker.Send("", queue, Message{Body: "10", ReplyTo: replyTo, CorrelationID: "ask-1"}))
		request := next(requests)
		answer := strconv.Itoa(fibonacci(must(strconv.Atoi(request.Body))))
		check(server.Send("", request.ReplyTo, Message{Body: answer, CorrelationID: request.CorrelationID}))
		check(request.Ack())
		got := next(answers)
		seen[way] = [][]string{{got.CorrelationID, got.Body}}
		check(asker.Close())
	}
	must(server.DeleteQueue(queue))
	check(server.Close())
	return seen
}

func (s suite) publisherConfirms() map[string]interface{} {
	queue, channel := s.prefix+"confirmed", s.channel()
	must(channel.DeclareQueue(queue, true, false))
	confirms, returns, err := channel.Confirmed()
	check(err)
	for number := 0; number < 20; number++ {
		headers := map[string]interface{}{"number": int32(number)}
		check(channel.Send("", queue, Message{Body: strconv.Itoa(number), DeliveryMode: 2, Headers: headers}))
	}
	for number := 0; number < 20; number++ {
		if !<-confirms {
			check(fmt.Errorf("message %d was refused", number))
		}
	}
	check(channel.Send("", s.prefix+"nowhere", Message{Body: "lost", Mandatory: true}))
	returned := <-returns
	numbers := []interface{}{}
	for _, delivery := range s.take(queue, 20) {
		numbers = append(numbers, delivery.Headers["number"])
	}
	must(channel.DeleteQueue(queue))
	check(channel.Close())
	return map[string]interface{}{"numbers": numbers, "refused": []interface{}{returned.Code, returned.Text}}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
