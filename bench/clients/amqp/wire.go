package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// As much of AMQP 0-9-1 as the load needs. The clients that applications use take more processor time for a message than
// either server does, and would measure themselves.

const (
	frameMethod    = 1
	frameHeader    = 2
	frameBody      = 3
	frameHeartbeat = 8
	frameEnd       = 0xce
	frameMaxBytes  = 131072
	bufferBytes    = 256 * 1024
)

// Class and method.
type methodID uint32

const (
	connectionStart   methodID = 10<<16 | 10
	connectionStartOk methodID = 10<<16 | 11
	connectionTune    methodID = 10<<16 | 30
	connectionTuneOk  methodID = 10<<16 | 31
	connectionOpen    methodID = 10<<16 | 40
	connectionOpenOk  methodID = 10<<16 | 41
	channelOpen       methodID = 20<<16 | 10
	channelOpenOk     methodID = 20<<16 | 11
	queueDeclare      methodID = 50<<16 | 10
	queueDeclareOk    methodID = 50<<16 | 11
	queueDelete       methodID = 50<<16 | 40
	basicQos          methodID = 60<<16 | 10
	basicQosOk        methodID = 60<<16 | 11
	basicConsume      methodID = 60<<16 | 20
	basicConsumeOk    methodID = 60<<16 | 21
	basicPublish      methodID = 60<<16 | 40
	basicDeliver      methodID = 60<<16 | 60
	basicAck          methodID = 60<<16 | 80
	confirmSelect     methodID = 85<<16 | 10
	confirmSelectOk   methodID = 85<<16 | 11
)

// One connection with one channel. Reading and writing may go on side by side.
type connection struct {
	socket net.Conn
	in     *bufio.Reader
	mutex  sync.Mutex
	out    *bufio.Writer
}

// A frame; the payload is valid until the next one is read.
type frame struct {
	kind    byte
	channel uint16
	payload []byte
}

func (f frame) method() methodID {
	if f.kind != frameMethod || len(f.payload) < 4 {
		return 0
	}
	return methodID(binary.BigEndian.Uint32(f.payload))
}

// Opens a connection and its channel 1.
func open(address string) (*connection, error) {
	where, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	socket, err := net.DialTimeout("tcp", where.Host, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &connection{
		socket: socket,
		in:     bufio.NewReaderSize(socket, bufferBytes),
		out:    bufio.NewWriterSize(socket, bufferBytes),
	}
	password, _ := where.User.Password()
	if err := c.handshake(where.User.Username(), password); err != nil {
		socket.Close()
		return nil, err
	}
	return c, nil
}

func (c *connection) handshake(user, password string) error {
	if _, err := c.out.WriteString("AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	if _, err := c.expect(connectionStart); err != nil {
		return err
	}
	startOk := new(arguments).long(0).short("PLAIN").longText("\x00" + user + "\x00" + password).short("en_US")
	if err := c.send(0, connectionStartOk, startOk); err != nil {
		return err
	}
	tune, err := c.expect(connectionTune)
	if err != nil {
		return err
	}
	channelMax := binary.BigEndian.Uint16(tune[4:])
	if err := c.send(0, connectionTuneOk, new(arguments).word(channelMax).long(frameMaxBytes).word(0)); err != nil {
		return err
	}
	if err := c.call(0, connectionOpen, new(arguments).short("/").short("").octet(0), connectionOpenOk); err != nil {
		return err
	}
	return c.call(1, channelOpen, new(arguments).short(""), channelOpenOk)
}

func (c *connection) call(channel uint16, method methodID, fields *arguments, answer methodID) error {
	if err := c.send(channel, method, fields); err != nil {
		return err
	}
	_, err := c.expect(answer)
	return err
}

func (c *connection) send(channel uint16, method methodID, fields *arguments) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, err := c.out.Write(methodFrame(channel, method, fields)); err != nil {
		return err
	}
	return c.out.Flush()
}

func (c *connection) expect(method methodID) ([]byte, error) {
	for {
		got, err := c.next()
		if err != nil {
			return nil, err
		}
		if got.kind == frameHeartbeat {
			continue
		}
		if got.method() != method {
			return nil, fmt.Errorf("expected method %d.%d, got %q", method>>16, method&0xffff, got.payload)
		}
		return got.payload, nil
	}
}

// The next frame. What it is a view of is only valid until the next call.
func (c *connection) next() (frame, error) {
	header, err := c.in.Peek(7)
	if err != nil {
		return frame{}, err
	}
	size := int(binary.BigEndian.Uint32(header[3:]))
	whole, err := c.in.Peek(7 + size + 1)
	if err != nil {
		return frame{}, err
	}
	if whole[7+size] != frameEnd {
		return frame{}, fmt.Errorf("a frame of %d bytes does not end as frames do", size)
	}
	_, err = c.in.Discard(7 + size + 1)
	return frame{whole[0], binary.BigEndian.Uint16(whole[1:]), whole[7 : 7+size]}, err
}

// The fields of a method, one after another.
type arguments struct {
	bytes.Buffer
}

func (a *arguments) octet(value byte) *arguments {
	a.WriteByte(value)
	return a
}

func (a *arguments) word(value uint16) *arguments {
	a.Write(binary.BigEndian.AppendUint16(nil, value))
	return a
}

func (a *arguments) long(value uint32) *arguments {
	a.Write(binary.BigEndian.AppendUint32(nil, value))
	return a
}

func (a *arguments) longlong(value uint64) *arguments {
	a.Write(binary.BigEndian.AppendUint64(nil, value))
	return a
}

func (a *arguments) short(text string) *arguments {
	return a.octet(byte(len(text))).text(text)
}

func (a *arguments) longText(text string) *arguments {
	return a.long(uint32(len(text))).text(text)
}

func (a *arguments) text(text string) *arguments {
	a.WriteString(text)
	return a
}

func methodFrame(channel uint16, method methodID, fields *arguments) []byte {
	return frameOf(frameMethod, channel, append(binary.BigEndian.AppendUint32(nil, uint32(method)), fields.Bytes()...))
}

func frameOf(kind byte, channel uint16, payload []byte) []byte {
	whole := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	whole = binary.BigEndian.AppendUint32(whole, uint32(len(payload)))
	return append(append(whole, payload...), frameEnd)
}

// Everything of a message to `queue` up to its body: method, content header, and the beginning of the body's frame.
func publishHead(queue string, isPersistent bool, bodyBytes int) []byte {
	deliveryMode := byte(1)
	if isPersistent {
		deliveryMode = 2
	}
	head := methodFrame(1, basicPublish, new(arguments).word(0).short("").short(queue).octet(0))
	const hasDeliveryMode = 1 << 12
	header := new(arguments).word(60).word(0).longlong(uint64(bodyBytes)).word(hasDeliveryMode).octet(deliveryMode)
	head = append(head, frameOf(frameHeader, 1, header.Bytes())...)
	head = append(head, frameBody, 0, 1)
	return binary.BigEndian.AppendUint32(head, uint32(bodyBytes))
}
