package main

import (
	"math"
	"time"

	"omnibus/bench/clients/measure"
)

// How many messages had come, and what processor time had been used, at one moment.
type usage struct {
	at        time.Duration
	consumed  int64
	server    time.Duration
	client    time.Duration
	hasServer bool
}

func readUsage(serverPid int, w *window) usage {
	server, err := measure.CPUOf(serverPid)
	return usage{
		at: time.Since(start), consumed: w.consumed.Load(),
		server: server, hasServer: err == nil, client: measure.CPUOfSelf(),
	}
}

func summary(before, after usage, pairs []*pair) result {
	messages := float64(after.consumed - before.consumed)
	var all measure.Histogram
	for _, p := range pairs {
		all.Join(&p.latencies)
	}
	r := result{
		MessagesPerSecond:         messages / (after.at - before.at).Seconds(),
		P50Micros:                 all.Quantile(0.5),
		P99Micros:                 all.Quantile(0.99),
		ClientCPUMicrosPerMessage: measure.Micros(after.client-before.client) / math.Max(messages, 1),
	}
	if before.hasServer && after.hasServer {
		r.ServerCPUMicrosPerMessage = measure.Micros(after.server-before.server) / math.Max(messages, 1)
	}
	return r
}
