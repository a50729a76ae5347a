package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	server, err := cpuOf(serverPid)
	return usage{
		at: time.Since(start), consumed: w.consumed.Load(),
		server: server, hasServer: err == nil, client: cpuOfSelf(),
	}
}

// Linux only: fields 14 and 15 of /proc/<pid>/stat are user and system time of all threads, in ticks.
func cpuOf(pid int) (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	afterName := string(content)[strings.LastIndexByte(string(content), ')')+2:]
	fields := strings.Fields(afterName)
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick, err
}

func cpuOfSelf() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func summary(before, after usage, pairs []*pair) result {
	messages := float64(after.consumed - before.consumed)
	var all histogram
	for _, p := range pairs {
		all.join(&p.latencies)
	}
	r := result{
		MessagesPerSecond:         messages / (after.at - before.at).Seconds(),
		P50Micros:                 all.quantile(0.5),
		P99Micros:                 all.quantile(0.99),
		ClientCPUMicrosPerMessage: micros(after.client-before.client) / math.Max(messages, 1),
	}
	if before.hasServer && after.hasServer {
		r.ServerCPUMicrosPerMessage = micros(after.server-before.server) / math.Max(messages, 1)
	}
	return r
}

func micros(d time.Duration) float64 {
	return float64(d) / float64(time.Microsecond)
}

// Latencies in buckets that grow by 2 %, from a microsecond to beyond a minute.
type histogram struct {
	counts [1000]int64
	total  int64
}

const growth = 1.02

func (h *histogram) add(latency time.Duration) {
	bucket := 0
	if us := micros(latency); us > 1 {
		bucket = min(len(h.counts)-1, int(math.Log(us)/math.Log(growth)))
	}
	h.counts[bucket]++
	h.total++
}

func (h *histogram) join(other *histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.total += other.total
}

// The upper end of the bucket in which the quantile lies, in microseconds.
func (h *histogram) quantile(fraction float64) float64 {
	left := int64(fraction * float64(h.total))
	for i, count := range h.counts {
		if left -= count; left < 0 {
			return math.Pow(growth, float64(i+1))
		}
	}
	return 0
}
