package main

import (
	"net"
	"sync"
	"time"
)

// The client flushes every frame; a connection that gathers what is written while the system takes what was written
// before lets one core of this program saturate a server. Nothing waits: a lone frame is sent at once.
type gatheringConn struct {
	net.Conn
	mutex   sync.Mutex
	changed *sync.Cond
	pending []byte
	err     error
}

// More than this waits for the system to take some.
const pendingBytesMax = 1 << 20

func dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	gathering := &gatheringConn{Conn: conn}
	gathering.changed = sync.NewCond(&gathering.mutex)
	go gathering.flush()
	return gathering, nil
}

func (c *gatheringConn) Write(bytes []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for len(c.pending) > pendingBytesMax && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	c.pending = append(c.pending, bytes...)
	c.changed.Broadcast()
	return len(bytes), nil
}

func (c *gatheringConn) flush() {
	var spare []byte
	for {
		c.mutex.Lock()
		for len(c.pending) == 0 && c.err == nil {
			c.changed.Wait()
		}
		taken, err := c.pending, c.err
		c.pending = spare[:0]
		c.changed.Broadcast()
		c.mutex.Unlock()
		if err != nil {
			return
		}
		if _, err := c.Conn.Write(taken); err != nil {
			c.fail(err)
			return
		}
		spare = taken
	}
}

func (c *gatheringConn) Close() error {
	c.fail(net.ErrClosed)
	return c.Conn.Close()
}

func (c *gatheringConn) fail(err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.changed.Broadcast()
}
