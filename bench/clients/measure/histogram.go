// Package measure is what the load clients have in common.
package measure

import (
	"math"
	"time"
)

// Histogram has latencies in buckets that grow by 2 %, from a microsecond to beyond a minute. Its zero value is empty.
type Histogram struct {
	counts [1000]int64
	total  int64
}

const growth = 1.02

func (h *Histogram) Add(latency time.Duration) {
	bucket := 0
	if us := Micros(latency); us > 1 {
		bucket = min(len(h.counts)-1, int(math.Log(us)/math.Log(growth)))
	}
	h.counts[bucket]++
	h.total++
}

func (h *Histogram) Join(other *Histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.total += other.total
}

// Quantile is the upper end of the bucket in which it lies, in microseconds; 0 when nothing was added.
func (h *Histogram) Quantile(fraction float64) float64 {
	left := int64(fraction * float64(h.total))
	for i, count := range h.counts {
		if left -= count; left < 0 {
			return math.Pow(growth, float64(i+1))
		}
	}
	return 0
}

func Micros(d time.Duration) float64 {
	return float64(d) / float64(time.Microsecond)
}
