package main

import (
	"errors"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// What a SayHello and its answer take on the wire, about.
const echoBytes = 130

// serveEcho sends every byte back.
func serveEcho(count int) []int {
	return listen(count, func(listener net.Listener) {
		for {
			conn, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go func() {
				defer conn.Close()
				buffer := make([]byte, 64*1024)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					if _, err := conn.Write(buffer[:n]); err != nil {
						return
					}
				}
			}()
		}
	})
}

// echoCaller keeps bytes going round on a few connections: what the kernel alone costs a caller.
type echoCaller struct {
	conns []net.Conn
}

func newEchoCaller(targets []string) *echoCaller {
	c := &echoCaller{}
	for _, target := range targets {
		conn, err := net.Dial("tcp", target)
		if err != nil {
			log.Fatal(err)
		}
		c.conns = append(c.conns, conn)
	}
	return c
}

// run shares the calls among the connections: each writes all that it may have in flight, and one more for each that comes back.
func (c *echoCaller) run(cmd command) phase {
	var failures atomic.Int64
	var workers sync.WaitGroup
	latencies := make([][]float64, len(c.conns))
	cpu, start := cpuMs(), time.Now()
	until := start.Add(time.Duration(cmd.LimitMs * float64(time.Millisecond)))
	for i, conn := range c.conns {
		share := func(n int) int { return (n + len(c.conns) - 1 - i) / len(c.conns) }
		workers.Add(1)
		go func() {
			defer workers.Done()
			taken, err := goRound(conn, share(cmd.InFlight), share(cmd.Calls), until)
			if err != nil {
				failures.Add(1)
			}
			latencies[i] = taken
		}()
	}
	workers.Wait()
	p := phase{
		Failures: int(failures.Load()),
		WallMs:   float64(time.Since(start)) / float64(time.Millisecond),
		CpuMs:    cpuMs() - cpu,
	}
	p.count(latencies)
	return p
}

// goRound returns the latency of each call in milliseconds. Answers come in the order of the calls, so a queue of times will do.
func goRound(conn net.Conn, inFlight, calls int, until time.Time) ([]float64, error) {
	buffer := make([]byte, max(inFlight*echoBytes, 64*1024))
	latencies := make([]float64, 0, calls)
	sent := make([]time.Time, 0, calls)
	send := func(count int) error {
		at := time.Now()
		if at.After(until) {
			return nil
		}
		count = min(count, calls-len(sent))
		for range count {
			sent = append(sent, at)
		}
		if count == 0 {
			return nil
		}
		_, err := conn.Write(buffer[:count*echoBytes])
		return err
	}
	if err := send(inFlight); err != nil {
		return latencies, err
	}
	for pending := 0; len(latencies) < len(sent); {
		n, err := conn.Read(buffer)
		if err != nil {
			return latencies, err
		}
		at, whole := time.Now(), (pending+n)/echoBytes
		pending = (pending + n) % echoBytes
		for range whole {
			latencies = append(latencies, float64(at.Sub(sent[len(latencies)]))/float64(time.Millisecond))
		}
		if err := send(whole); err != nil {
			return latencies, err
		}
	}
	return latencies, nil
}

var errEchoOnly = errors.New("the echo has nothing but small calls")

func (c *echoCaller) unary(int) error         { return errEchoOnly }
func (c *echoCaller) echo(int) error          { return errEchoOnly }
func (c *echoCaller) download(int, int) error { return errEchoOnly }
func (c *echoCaller) chat(int, int) error     { return errEchoOnly }
func (c *echoCaller) hold() error             { return errEchoOnly }
func (c *echoCaller) release()                {}
func (c *echoCaller) connect([]string) error  { return errEchoOnly }
