// The load that `npm run bench -- nats` puts on a server: one connection for each publisher and subscriber, speaking the
// protocol itself, so that the client costs as little as it can and the server is what is measured.
//
// Prints one JSON object. Run it with -h for its flags.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"omnibus/bench/clients/measure"
)

// What all times count from.
var start = time.Now()

// Subjects of this run: a server may still be delivering what the run before published.
var (
	subject = fmt.Sprintf("bench.subject.%07d", os.Getpid())
	service = fmt.Sprintf("bench.service.%07d", os.Getpid())
	inbox   = fmt.Sprintf("_INBOX.bench.%07d", os.Getpid())
)

// What is written at once: as much as a client that buffers would.
const writeBytes = 64 * 1024

// Writes between two questions whether all before was dealt with, in "publish", and questions on their way.
const writesPerBatch = 16
const batchesMax = 2

// Requests on their way in "request".
const requestsMax = 64

type result struct {
	Messages   int64   `json:"messages"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"perSecond"`
	CPUSeconds float64 `json:"cpuSeconds"`
	P50Us      float64 `json:"p50Us"`
	P99Us      float64 `json:"p99Us"`
}

type settings struct {
	address     string
	pid         int
	size        int
	subscribers int
	rate        int
	warmUp      time.Duration
	duration    time.Duration
}

func main() {
	var s settings
	mode := flag.String("mode", "deliver", "publish, deliver or request")
	flag.StringVar(&s.address, "address", "127.0.0.1:4222", "of the server")
	flag.IntVar(&s.pid, "pid", 0, "of the server: its processor time is measured")
	flag.IntVar(&s.size, "size", 16, "of a body, in bytes")
	flag.IntVar(&s.subscribers, "subscribers", 1, "that get each message, in deliver")
	flag.IntVar(&s.rate, "rate", 0, "messages or requests a second; 0 for as many as the server takes")
	flag.DurationVar(&s.warmUp, "warm-up", time.Second, "before anything is measured")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "that is measured")
	flag.Parse()
	run := map[string]func(settings) (result, error){"publish": publish, "deliver": deliver, "request": request}[*mode]
	if run == nil {
		fail(fmt.Errorf("there is no mode %q", *mode))
	}
	measured, err := run(s)
	if err != nil {
		fail(err)
	}
	measured.PerSecond = float64(measured.Messages) / measured.Seconds
	if err := json.NewEncoder(os.Stdout).Encode(measured); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "nats load:", err)
	os.Exit(1)
}

// window measures between its two ends: messages counted by count, and processor time of the server.
func window(s settings, count func() int64, failed <-chan error) (result, error) {
	if err := wait(s.warmUp, failed); err != nil {
		return result{}, err
	}
	cpu, err := measure.CPUOf(s.pid)
	if err != nil {
		return result{}, err
	}
	began, before := time.Now(), count()
	if err := wait(s.duration, failed); err != nil {
		return result{}, err
	}
	messages, seconds := count()-before, time.Since(began).Seconds()
	cpuAfter, err := measure.CPUOf(s.pid)
	if err != nil {
		return result{}, err
	}
	return result{Messages: messages, Seconds: seconds, CPUSeconds: (cpuAfter - cpu).Seconds()}, nil
}

func wait(d time.Duration, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-time.After(d):
		return nil
	}
}

// open connects and says who we are. The server has answered.
func open(s settings) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, nil, err
	}
	reader := bufio.NewReaderSize(conn, 256*1024)
	if _, err := reader.ReadString('\n'); err != nil {
		return nil, nil, err
	}
	hello := `CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1,"lang":"go","version":"0"}`
	return conn, reader, command(conn, reader, hello)
}

// command says one line, and waits until the server has dealt with it.
func command(conn net.Conn, reader *bufio.Reader, line string) error {
	if _, err := io.WriteString(conn, line+"\r\nPING\r\n"); err != nil {
		return err
	}
	return pong(reader)
}

func pong(reader *bufio.Reader) error {
	for {
		line, err := reader.ReadString('\n')
		if err != nil || line == "PONG\r\n" {
			return err
		}
		// The server may ask whether we live; a run is over before it minds.
		if line != "PING\r\n" {
			return fmt.Errorf("the server said %q", line)
		}
	}
}

// publish counts what the server has read and dealt with: it answers a PING after each batch.
func publish(s settings) (result, error) {
	conn, reader, err := open(s)
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	message := fmt.Sprintf("PUB bench.nobody %d\r\n%s\r\n", s.size, strings.Repeat("x", s.size))
	perWrite := max(1, writeBytes/len(message))
	perBatch := perWrite * writesPerBatch
	text := []byte(strings.Repeat(message, perWrite))
	var confirmed atomic.Int64
	failed := make(chan error, 2)
	places := make(chan struct{}, batchesMax)
	go func() {
		for {
			places <- struct{}{}
			if err := writeBatch(conn, text); err != nil {
				failed <- err
				return
			}
		}
	}()
	go func() {
		for {
			if err := pong(reader); err != nil {
				failed <- err
				return
			}
			confirmed.Add(int64(perBatch))
			<-places
		}
	}()
	return window(s, confirmed.Load, failed)
}

func writeBatch(conn net.Conn, text []byte) error {
	for range writesPerBatch {
		if _, err := conn.Write(text); err != nil {
			return err
		}
	}
	_, err := io.WriteString(conn, "PING\r\n")
	return err
}

// deliver counts what subscribers get: a message to four of them is four.
func deliver(s settings) (result, error) {
	failed := make(chan error, s.subscribers+1)
	var delivered atomic.Int64
	times := &latencies{}
	for index := 0; index < s.subscribers; index++ {
		conn, reader, err := open(s)
		if err != nil {
			return result{}, err
		}
		defer conn.Close()
		if err := command(conn, reader, "SUB "+subject+" 1"); err != nil {
			return result{}, err
		}
		frame := len(fmt.Sprintf("MSG %s 1 %d\r\n", subject, s.size)) + s.size + 2
		if s.rate > 0 {
			go func() { failed <- timeMessages(reader, &delivered, times) }()
		} else {
			go func() { failed <- countMessages(reader, frame, &delivered) }()
		}
	}
	conn, _, err := open(s)
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	if s.rate > 0 {
		go func() { failed <- publishAtRate(conn, s) }()
	} else {
		go func() { failed <- publishFlat(conn, s) }()
	}
	if s.rate > 0 {
		if err := wait(s.warmUp, failed); err != nil {
			return result{}, err
		}
		times.begin()
		s.warmUp = 0
	}
	measured, err := window(s, delivered.Load, failed)
	times.report(&measured)
	return measured, err
}

// countMessages reads as fast as it can: all messages have the same length, so their bytes are enough.
func countMessages(reader *bufio.Reader, frame int, delivered *atomic.Int64) error {
	buffer := make([]byte, 256*1024)
	rest := 0
	for {
		n, err := reader.Read(buffer)
		if err != nil {
			return err
		}
		rest += n
		if count := rest / frame; count > 0 {
			delivered.Add(int64(count))
			rest -= count * frame
		}
	}
}

func timeMessages(reader *bufio.Reader, delivered *atomic.Int64, times *latencies) error {
	return eachMessage(reader, func(_ string, body []byte) error {
		times.add(time.Since(start) - time.Duration(binary.BigEndian.Uint64(body)))
		delivered.Add(1)
		return nil
	}, func() error { return nil })
}

func publishFlat(conn net.Conn, s settings) error {
	message := fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, s.size, strings.Repeat("x", s.size))
	batch := []byte(strings.Repeat(message, max(1, writeBytes/len(message))))
	for {
		if _, err := conn.Write(batch); err != nil {
			return err
		}
	}
}

// publishAtRate sends each message at its time, alone, with that time in its body.
func publishAtRate(conn net.Conn, s settings) error {
	head := []byte(fmt.Sprintf("PUB %s %d\r\n", subject, s.size))
	message := append(append(head, make([]byte, s.size)...), '\r', '\n')
	body := message[len(message)-2-s.size:]
	return atRate(s.rate, func(due time.Duration) error {
		binary.BigEndian.PutUint64(body, uint64(due))
		_, err := conn.Write(message)
		return err
	})
}

// atRate calls action so often a second, evenly; what is late is made up for, and counts as late.
func atRate(rate int, action func(due time.Duration) error) error {
	pace := measure.NewPace(start)
	began := time.Since(start)
	for sent := int64(0); ; sent++ {
		due := began + time.Duration(sent*int64(time.Second)/int64(rate))
		pace.Until(due)
		if err := action(due); err != nil {
			return err
		}
	}
}

// request asks a service that answers with what it was sent, and counts the answers.
func request(s settings) (result, error) {
	failed := make(chan error, 4)
	answering, serviceReader, err := open(s)
	if err != nil {
		return result{}, err
	}
	defer answering.Close()
	if err := command(answering, serviceReader, "SUB "+service+" q 1"); err != nil {
		return result{}, err
	}
	asker, askerReader, err := open(s)
	if err != nil {
		return result{}, err
	}
	defer asker.Close()
	if err := command(asker, askerReader, "SUB "+inbox+".* 1"); err != nil {
		return result{}, err
	}
	var answered atomic.Int64
	times := &latencies{}
	places := make(chan struct{}, requestsMax)
	go func() { failed <- answerAll(answering, serviceReader) }()
	go func() {
		failed <- eachMessage(askerReader, func(_ string, body []byte) error {
			times.add(time.Since(start) - time.Duration(binary.BigEndian.Uint64(body)))
			answered.Add(1)
			if s.rate == 0 {
				<-places
			}
			return nil
		}, func() error { return nil })
	}()
	go func() { failed <- ask(asker, s, places) }()
	if err := wait(s.warmUp, failed); err != nil {
		return result{}, err
	}
	times.begin()
	s.warmUp = 0
	measured, err := window(s, answered.Load, failed)
	times.report(&measured)
	return measured, err
}

// ask sends requests, each with a subject of its own for the answer, as clients do.
func ask(conn net.Conn, s settings, places chan struct{}) error {
	body := make([]byte, s.size)
	writer := bufio.NewWriterSize(conn, writeBytes)
	number := 0
	send := func(due time.Duration) error {
		number++
		binary.BigEndian.PutUint64(body, uint64(due))
		fmt.Fprintf(writer, "PUB %s %s.%08x %d\r\n", service, inbox, number, s.size)
		writer.Write(body)
		_, err := writer.WriteString("\r\n")
		return err
	}
	if s.rate > 0 {
		return atRate(s.rate, func(due time.Duration) error { return errors.Join(send(due), writer.Flush()) })
	}
	for {
		select {
		case places <- struct{}{}:
		default:
			if err := writer.Flush(); err != nil {
				return err
			}
			places <- struct{}{}
		}
		if err := send(time.Since(start)); err != nil {
			return err
		}
	}
}

func answerAll(conn net.Conn, reader *bufio.Reader) error {
	writer := bufio.NewWriterSize(conn, writeBytes)
	return eachMessage(reader, func(reply string, body []byte) error {
		fmt.Fprintf(writer, "PUB %s %d\r\n", reply, len(body))
		writer.Write(body)
		_, err := writer.WriteString("\r\n")
		return err
	}, writer.Flush)
}

// eachMessage reads messages one by one; idle is called when there is no other at hand.
func eachMessage(reader *bufio.Reader, take func(reply string, body []byte) error, idle func() error) error {
	body := make([]byte, 0, 64*1024)
	for {
		if reader.Buffered() == 0 {
			if err := idle(); err != nil {
				return err
			}
		}
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "MSG" {
			if line == "PING\r\n" {
				continue
			}
			return fmt.Errorf("the server said %q", line)
		}
		size, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			return err
		}
		body = body[:size+2]
		if _, err := io.ReadFull(reader, body); err != nil {
			return err
		}
		reply := ""
		if len(fields) == 5 {
			reply = fields[3]
		}
		if err := take(reply, body[:size]); err != nil {
			return err
		}
	}
}

// latencies keeps how long messages took, once it has begun.
type latencies struct {
	mutex     sync.Mutex
	begun     bool
	histogram measure.Histogram
}

func (l *latencies) begin() {
	l.mutex.Lock()
	l.begun = true
	l.mutex.Unlock()
}

func (l *latencies) add(latency time.Duration) {
	l.mutex.Lock()
	if l.begun {
		l.histogram.Add(latency)
	}
	l.mutex.Unlock()
}

func (l *latencies) report(into *result) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	into.P50Us, into.P99Us = l.histogram.Quantile(0.5), l.histogram.Quantile(0.99)
}
