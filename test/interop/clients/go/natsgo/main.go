// The tutorials of NATS with nats.go. What was seen is printed as one JSON object.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const late = 10 * time.Second

func main() {
	client := must(nats.Connect(os.Args[1]))
	seen := map[string]interface{}{
		"publish/subscribe": publishSubscribe(client),
		"queue group":       queueGroup(client),
		"request/reply":     requestReply(client),
	}
	check(client.Drain())
	check(json.NewEncoder(os.Stdout).Encode(seen))
}

func take(subscription *nats.Subscription, count int) []*nats.Msg {
	taken := []*nats.Msg{}
	for len(taken) < count {
		taken = append(taken, must(subscription.NextMsg(late)))
	}
	check(subscription.Unsubscribe())
	return taken
}

func subjects(messages []*nats.Msg) []string {
	found := []string{}
	for _, message := range messages {
		found = append(found, message.Subject)
	}
	return found
}

func publishSubscribe(client *nats.Conn) map[string][]string {
	exact := must(client.SubscribeSync("go.greet.joe"))
	one := must(client.SubscribeSync("go.greet.*"))
	rest := must(client.SubscribeSync("go.>"))
	greeting := nats.NewMsg("go.greet.joe")
	greeting.Header.Set("Lang", "en")
	greeting.Data = []byte("hello joe")
	check(client.PublishMsg(greeting))
	check(client.Publish("go.greet.pam", []byte("hello pam")))
	check(client.Publish("go.greet.sue.now", []byte("hello sue")))
	first := take(exact, 1)[0]
	return map[string][]string{
		"exact": {first.Subject, string(first.Data), first.Header.Get("Lang")},
		"one":   subjects(take(one, 2)),
		"rest":  subjects(take(rest, 3)),
	}
}

func queueGroup(client *nats.Conn) []int {
	numbers := make(chan int, 100)
	for worker := 0; worker < 3; worker++ {
		must(client.QueueSubscribe("go.work", "workers", func(message *nats.Msg) {
			numbers <- must(strconv.Atoi(string(message.Data)))
		}))
	}
	for number := 0; number < 30; number++ {
		check(client.Publish("go.work", []byte(strconv.Itoa(number))))
	}
	seen := []int{}
	for len(seen) < 30 {
		select {
		case number := <-numbers:
			seen = append(seen, number)
		case <-time.After(late):
			check(fmt.Errorf("only %d messages came", len(seen)))
		}
	}
	check(client.Flush())
	sort.Ints(seen)
	return seen
}

func requestReply(client *nats.Conn) map[string]interface{} {
	service := must(client.Subscribe("go.help", func(message *nats.Msg) {
		check(message.Respond(append([]byte("help for "), message.Data...)))
	}))
	reply := must(client.Request("go.help", []byte("joe"), late))
	check(service.Unsubscribe())
	check(client.Flush())
	var refused interface{}
	if _, err := client.Request("go.help", []byte("pam"), late); errors.Is(err, nats.ErrNoResponders) {
		refused = "no responders"
	}
	return map[string]interface{}{"reply": string(reply.Data), "refused": refused}
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
