package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"omnibus/bench/clients/measure"
)

// A body begins with when it was due to be sent, in nanoseconds since the start, and its number in its queue.
const minBodyBytes = 16

// How long the last messages may take to come after the end.
const drainTime = 10 * time.Second

var start = time.Now()

// What all pairs share. Messages that are due between `from` and `until` are measured.
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
	failures := make(chan error, 3*len(pairs))
	var running sync.WaitGroup
	for _, p := range pairs {
		for _, work := range []func() error{p.publish, p.consume, p.takeConfirms} {
			running.Add(1)
			go func() {
				defer running.Done()
				if err := work(); err != nil {
					failures <- err
				}
			}()
		}
	}
	before, err := usageAt(w.from, o.serverPid, w, failures)
	if err != nil {
		return result{}, err
	}
	after, err := usageAt(w.until, o.serverPid, w, failures)
	if err != nil {
		return result{}, err
	}
	for _, p := range pairs {
		if err := p.stop(failures); err != nil {
			return result{}, err
		}
	}
	running.Wait()
	return summary(before, after, pairs), nil
}

func usageAt(moment time.Duration, serverPid int, w *window, failures <-chan error) (usage, error) {
	select {
	case err := <-failures:
		return usage{}, err
	case <-time.After(moment - time.Since(start)):
		return readUsage(serverPid, w), nil
	}
}

// One queue, its publisher and its consumer.
type pair struct {
	o         options
	window    *window
	queue     string
	out, in   *connection
	published atomic.Int64
	consumed  atomic.Int64
	confirmed atomic.Int64
	// Tells the publisher that there may be room for more.
	room      chan struct{}
	isStopped atomic.Bool
	// Nothing is published any more.
	silent chan struct{}
	// Everything that was published has come, and is confirmed.
	isDrained atomic.Bool
	latencies measure.Histogram
}

func openPair(o options, w *window, index int) (*pair, error) {
	p := &pair{
		o: o, window: w, queue: fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), index),
		room: make(chan struct{}, 1), silent: make(chan struct{}),
	}
	var err error
	if p.out, err = open(o.url); err != nil {
		return nil, err
	}
	if p.in, err = open(o.url); err != nil {
		return nil, err
	}
	const durable, noAck = 2, 2
	flags, consuming := byte(0), byte(noAck)
	if o.persistent {
		flags, consuming = durable, 0
	}
	declare := new(arguments).word(0).short(p.queue).octet(flags).long(0)
	if err = p.in.call(1, queueDeclare, declare, queueDeclareOk); err != nil {
		return nil, err
	}
	if o.persistent {
		if err = p.out.call(1, confirmSelect, new(arguments).octet(0), confirmSelectOk); err != nil {
			return nil, err
		}
		if err = p.in.call(1, basicQos, new(arguments).long(0).word(uint16(o.prefetch)).octet(0), basicQosOk); err != nil {
			return nil, err
		}
	}
	consume := new(arguments).word(0).short(p.queue).short("bench").octet(consuming).long(0)
	return p, p.in.call(1, basicConsume, consume, basicConsumeOk)
}

// Messages that are published and have not come, or are not confirmed.
func (p *pair) inFlight() int64 {
	done := p.consumed.Load()
	if p.o.persistent {
		done = min(done, p.confirmed.Load())
	}
	return p.published.Load() - done
}

// Publishes until it is stopped. What is written is sent when there is nothing to write for now.
func (p *pair) publish() error {
	defer close(p.silent)
	pace := measure.NewPace(start)
	head := publishHead(p.queue, p.o.persistent, p.o.size)
	body := make([]byte, p.o.size+1)
	body[p.o.size] = frameEnd
	var gap time.Duration
	if p.o.rate > 0 {
		gap = time.Second * time.Duration(p.o.pairs) / time.Duration(p.o.rate)
	}
	due := time.Since(start)
	for number := uint64(0); !p.isStopped.Load(); number++ {
		for p.inFlight() >= int64(p.o.inFlight) {
			if err := p.out.out.Flush(); err != nil {
				return err
			}
			<-p.room
			if p.isStopped.Load() {
				return nil
			}
		}
		if gap == 0 {
			due = time.Since(start)
		} else if due += gap; due > time.Since(start) {
			if err := p.out.out.Flush(); err != nil {
				return err
			}
			pace.Until(due)
		}
		binary.LittleEndian.PutUint64(body, uint64(due))
		binary.LittleEndian.PutUint64(body[8:], number)
		// Counted first: it may come before this goroutine goes on.
		p.published.Add(1)
		if _, err := p.out.out.Write(head); err != nil {
			return err
		}
		if _, err := p.out.out.Write(body); err != nil {
			return err
		}
	}
	return p.out.out.Flush()
}

// Reads what the server tells the publisher.
func (p *pair) takeConfirms() error {
	for {
		got, err := p.out.next()
		if err != nil {
			if p.isDrained.Load() {
				return nil
			}
			return fmt.Errorf("the publisher of %s: %w", p.queue, err)
		}
		if got.kind == frameHeartbeat {
			continue
		}
		if got.method() != basicAck {
			return fmt.Errorf("the publisher of %s was told %q", p.queue, got.payload)
		}
		tag := int64(binary.BigEndian.Uint64(got.payload[4:]))
		isMultiple := got.payload[12]&1 != 0
		if isMultiple {
			p.confirmed.Store(max(tag, p.confirmed.Load()))
		} else {
			// Out of order at times: then it counts too early by a few, which the bound does not mind.
			p.confirmed.Add(1)
		}
		p.tellOfRoom()
	}
}

// Consumes until everything that was published has come.
func (p *pair) consume() error {
	for number := uint64(0); ; number++ {
		delivery, err := p.in.next()
		if err != nil && p.isDrained.Load() {
			return nil
		}
		if err == nil && delivery.method() == basicDeliver {
			err = p.take(delivery, number)
		} else if err == nil {
			err = fmt.Errorf("got %q", delivery.payload)
		}
		if err != nil {
			return fmt.Errorf("the consumer of %s, after %d of %d: %w", p.queue, p.consumed.Load(), p.published.Load(), err)
		}
	}
}

// The header and the body of a delivery, and the answer to it.
func (p *pair) take(delivery frame, number uint64) error {
	tagAt := 5 + int(delivery.payload[4])
	tag := binary.BigEndian.Uint64(delivery.payload[tagAt:])
	if header, err := p.in.next(); err != nil || header.kind != frameHeader {
		return errors.Join(err, errors.New("no content header"))
	}
	got, err := p.in.next()
	if err != nil {
		return err
	}
	if len(got.payload) != p.o.size || binary.LittleEndian.Uint64(got.payload[8:]) != number {
		return fmt.Errorf("message %d is damaged, or out of order", number)
	}
	now, sent := time.Since(start), time.Duration(binary.LittleEndian.Uint64(got.payload))
	if sent >= p.window.from && sent < p.window.until {
		p.latencies.Add(now - sent)
	}
	isLast := p.in.in.Buffered() == 0
	if p.o.persistent {
		if err := p.ack(tag, isLast); err != nil {
			return err
		}
	}
	p.consumed.Add(1)
	p.window.consumed.Add(1)
	if isLast || number%64 == 0 {
		p.tellOfRoom()
	}
	return nil
}

// Each message on its own. They are sent when there is nothing more to read.
func (p *pair) ack(tag uint64, isLast bool) error {
	answer := [21]byte{frameMethod, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80}
	binary.BigEndian.PutUint64(answer[11:], tag)
	answer[20] = frameEnd
	if _, err := p.in.out.Write(answer[:]); err != nil || !isLast {
		return err
	}
	return p.in.out.Flush()
}

func (p *pair) tellOfRoom() {
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// Stops publishing, and waits until what is on its way has come.
func (p *pair) stop(failures <-chan error) error {
	p.isStopped.Store(true)
	p.tellOfRoom()
	<-p.silent
	for giveUp := time.Now().Add(drainTime); p.inFlight() > 0; time.Sleep(time.Millisecond) {
		select {
		case err := <-failures:
			return err
		default:
		}
		if time.Now().After(giveUp) {
			return fmt.Errorf("%s lost messages: %d published, %d came, %d confirmed",
				p.queue, p.published.Load(), p.consumed.Load(), p.confirmed.Load())
		}
	}
	p.isDrained.Store(true)
	_ = p.in.socket.SetReadDeadline(time.Now())
	return p.out.socket.SetReadDeadline(time.Now())
}

func (p *pair) close() {
	_ = p.in.socket.SetDeadline(time.Now().Add(drainTime))
	const noWait = 4
	_ = p.in.send(1, queueDelete, new(arguments).word(0).short(p.queue).octet(noWait))
	_ = p.out.socket.Close()
	_ = p.in.socket.Close()
}
