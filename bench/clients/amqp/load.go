package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A body begins with when it was due to be sent, in nanoseconds since the start, and its number in its queue.
const minBodyBytes = 16

var start = time.Now()

// What all pairs share. Messages that are sent between `from` and `until` are measured.
type window struct {
	from, until time.Duration
	consumed    atomic.Int64
}

func run(o options) (result, error) {
	w := &window{}
	pairs := make([]*pair, o.pairs)
	for i := range pairs {
		p, err := openPair(o, w, i)
		if err != nil {
			return result{}, err
		}
		defer p.close()
		pairs[i] = p
	}
	w.from = time.Since(start) + o.warmUp
	w.until = w.from + o.measured
	failures := make(chan error, 2*len(pairs))
	var running sync.WaitGroup
	for _, p := range pairs {
		running.Add(2)
		go func() { defer running.Done(); failures <- p.publish() }()
		go func() { defer running.Done(); failures <- p.consume() }()
	}
	time.Sleep(w.from - time.Since(start))
	before := readUsage(o.serverPid, w)
	time.Sleep(w.until - time.Since(start))
	after := readUsage(o.serverPid, w)
	for _, p := range pairs {
		p.stop()
	}
	running.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return result{}, err
		}
	}
	return summary(before, after, pairs), nil
}

// One queue, its publisher and its consumer.
type pair struct {
	o          options
	window     *window
	queue      string
	out, in    *amqp.Connection
	publisher  *amqp.Channel
	consumer   *amqp.Channel
	deliveries <-chan amqp.Delivery
	confirms   chan amqp.Confirmation
	// One token for each message that may be in flight.
	slots     chan struct{}
	published atomic.Int64
	consumed  atomic.Int64
	stopped   chan struct{}
	latencies histogram
}

func openPair(o options, w *window, index int) (*pair, error) {
	p := &pair{
		o: o, window: w, queue: fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), index),
		slots: make(chan struct{}, o.inFlight), stopped: make(chan struct{}),
	}
	var err error
	config := amqp.Config{Dial: dial, Heartbeat: 0}
	if p.out, err = amqp.DialConfig(o.url, config); err != nil {
		return nil, err
	}
	if p.in, err = amqp.DialConfig(o.url, config); err != nil {
		return nil, err
	}
	if p.publisher, err = p.out.Channel(); err != nil {
		return nil, err
	}
	if p.consumer, err = p.in.Channel(); err != nil {
		return nil, err
	}
	if _, err = p.consumer.QueueDeclare(p.queue, o.persistent, false, false, false, nil); err != nil {
		return nil, err
	}
	if o.persistent {
		if err = p.publisher.Confirm(false); err != nil {
			return nil, err
		}
		p.confirms = p.publisher.NotifyPublish(make(chan amqp.Confirmation, o.inFlight))
		if err = p.consumer.Qos(o.prefetch, 0, false); err != nil {
			return nil, err
		}
	}
	p.deliveries, err = p.consumer.Consume(p.queue, "", !o.persistent, false, false, false, nil)
	return p, err
}

// Publishes until it is stopped, and for as long as the server takes it.
func (p *pair) publish() error {
	message := amqp.Publishing{DeliveryMode: amqp.Transient}
	if p.o.persistent {
		message.DeliveryMode = amqp.Persistent
		go p.takeConfirms()
	}
	var gap time.Duration
	if p.o.rate > 0 {
		gap = time.Second * time.Duration(p.o.pairs) / time.Duration(p.o.rate)
	}
	due := time.Since(start)
	for number := uint64(0); ; number++ {
		select {
		case p.slots <- struct{}{}:
		case <-p.stopped:
			return nil
		}
		if gap == 0 {
			due = time.Since(start)
		} else {
			due += gap
			if wait := due - time.Since(start); wait > 0 {
				time.Sleep(wait)
			}
		}
		// Nobody has the bytes after the publish: they were copied.
		body := make([]byte, p.o.size)
		binary.LittleEndian.PutUint64(body, uint64(due))
		binary.LittleEndian.PutUint64(body[8:], number)
		message.Body = body
		if err := p.publisher.PublishWithContext(context.Background(), "", p.queue, false, false, message); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		p.published.Add(1)
	}
}

func (p *pair) takeConfirms() {
	for confirm := range p.confirms {
		if !confirm.Ack {
			panic("the server did not take a message")
		}
	}
}

// Consumes until everything that was published has come.
func (p *pair) consume() error {
	next := uint64(0)
	for {
		select {
		case delivery, isOpen := <-p.deliveries:
			if !isOpen {
				return fmt.Errorf("the consumer of %s was closed", p.queue)
			}
			if err := p.take(delivery, next); err != nil {
				return err
			}
			next++
		case <-p.stopped:
			if p.consumed.Load() >= p.published.Load() {
				return nil
			}
			select {
			case delivery := <-p.deliveries:
				if err := p.take(delivery, next); err != nil {
					return err
				}
				next++
			case <-time.After(5 * time.Second):
				return fmt.Errorf("%s lost messages: %d published, %d came", p.queue, p.published.Load(), p.consumed.Load())
			}
		}
	}
}

func (p *pair) take(delivery amqp.Delivery, next uint64) error {
	body := delivery.Body
	if len(body) != p.o.size || binary.LittleEndian.Uint64(body[8:]) != next {
		return fmt.Errorf("%s: message %d is damaged, or out of order", p.queue, next)
	}
	now, sent := time.Since(start), time.Duration(binary.LittleEndian.Uint64(body))
	if sent >= p.window.from && sent < p.window.until {
		p.latencies.add(now - sent)
	}
	if p.o.persistent {
		if err := delivery.Ack(false); err != nil {
			return fmt.Errorf("acknowledging: %w", err)
		}
	}
	p.consumed.Add(1)
	p.window.consumed.Add(1)
	<-p.slots
	return nil
}

func (p *pair) stop() {
	close(p.stopped)
}

func (p *pair) close() {
	_, _ = p.consumer.QueueDelete(p.queue, false, false, false)
	_ = p.out.Close()
	_ = p.in.Close()
}
