// Load for one AMQP 0-9-1 server: publishes to queues and consumes from them, and prints one JSON object with what it
// measured. The same program measures every server.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

type options struct {
	url        string
	persistent bool
	size       int
	pairs      int
	inFlight   int
	prefetch   int
	rate       int
	warmUp     time.Duration
	measured   time.Duration
	serverPid  int
}

// What is printed. Times are in microseconds.
type result struct {
	MessagesPerSecond float64 `json:"messagesPerSecond"`
	P50Micros         float64 `json:"p50Micros"`
	P99Micros         float64 `json:"p99Micros"`
	// Of the server's processor time; 0 where it cannot be read.
	ServerCPUMicrosPerMessage float64 `json:"serverCpuMicrosPerMessage"`
	// Of this program's.
	ClientCPUMicrosPerMessage float64 `json:"clientCpuMicrosPerMessage"`
}

func parseOptions() (options, error) {
	var o options
	flag.StringVar(&o.url, "url", "amqp://guest:guest@127.0.0.1:5672/", "where the server is")
	flag.BoolVar(&o.persistent, "persistent", false, "durable queues, persistent messages, confirms and acknowledgements")
	flag.IntVar(&o.size, "size", 16, "bytes of a body, at least 16")
	flag.IntVar(&o.pairs, "pairs", 1, "queues, each with a publisher and a consumer on connections of their own")
	flag.IntVar(&o.inFlight, "in-flight", 2000, "messages of a queue that are published and not yet consumed, at most")
	flag.IntVar(&o.prefetch, "prefetch", 1000, "unacknowledged messages of a consumer, at most")
	flag.IntVar(&o.rate, "rate", 0, "messages a second over all queues; 0 is as fast as it goes")
	flag.DurationVar(&o.warmUp, "warm-up", time.Second, "before it is measured")
	flag.DurationVar(&o.measured, "measured", 3*time.Second, "how long it is measured")
	flag.IntVar(&o.serverPid, "server-pid", 0, "whose processor time is measured")
	flag.Parse()
	if o.size < minBodyBytes {
		return o, fmt.Errorf("a body has at least %d bytes", minBodyBytes)
	}
	if o.pairs < 1 || o.inFlight < 1 {
		return o, errors.New("there has to be at least one pair, and one message in flight")
	}
	return o, nil
}

func main() {
	o, err := parseOptions()
	if err == nil {
		var measured result
		if measured, err = run(o); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(measured)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "amqp load:", err)
		os.Exit(1)
	}
}
