package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// command is a line on stdin.
type command struct {
	Do       string   `json:"do"`
	InFlight int      `json:"inFlight"`
	Calls    int      `json:"calls"`
	LimitMs  float64  `json:"limitMs"`
	Bytes    int      `json:"bytes"`
	Messages int      `json:"messages"`
	Streams  int      `json:"streams"`
	Targets  []string `json:"targets"`
	Gc       bool     `json:"gc"`
}

// phase is the answer to a command that calls.
type phase struct {
	Calls    int     `json:"calls"`
	Failures int     `json:"failures"`
	WallMs   float64 `json:"wallMs"`
	CpuMs    float64 `json:"cpuMs"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	Error    string  `json:"error,omitempty"`
}

type usage struct {
	CpuMs     float64 `json:"cpuMs"`
	HeapBytes uint64  `json:"heapBytes"`
	RssBytes  uint64  `json:"rssBytes"`
}

// caller makes the calls of a client program. Each call checks its answer.
type caller interface {
	unary(index int) error
	echo(bytes int) error
	download(messages, bytes int) error
	chat(messages, bytes int) error
	// hold opens one more stream, exchanges a message on it and leaves it open.
	hold() error
	release()
	// connect opens one connection to each of the targets and leaves them open.
	connect(targets []string) error
}

// runner is a caller that keeps calls in flight in a way of its own.
type runner interface {
	run(c command) phase
}

// obey says that the program is ready, and answers commands until stdin ends.
func obey(ports []int, calls caller) {
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(map[string]any{"ready": true, "ports": append([]int{}, ports...)})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			_ = out.Encode(map[string]string{"error": err.Error()})
			continue
		}
		_ = out.Encode(answer(c, calls))
	}
}

func answer(c command, calls caller) any {
	if c.Do == "usage" {
		return readUsage(c.Gc)
	}
	if calls == nil {
		return map[string]string{"error": "a server cannot " + c.Do}
	}
	if own, ok := calls.(runner); ok && c.Do == "unary" {
		return own.run(c)
	}
	switch c.Do {
	case "unary":
		return run(c, func(i int) error { return calls.unary(i) })
	case "echo":
		return run(c, func(int) error { return calls.echo(c.Bytes) })
	case "download":
		return run(c, func(int) error { return calls.download(c.Messages, c.Bytes) })
	case "chat":
		return run(c, func(int) error { return calls.chat(c.Messages, c.Bytes) })
	case "hold":
		c.Calls = c.Streams
		return run(c, func(int) error { return calls.hold() })
	case "release":
		calls.release()
		return map[string]bool{"released": true}
	case "connect":
		if err := calls.connect(c.Targets); err != nil {
			return map[string]string{"error": err.Error()}
		}
		return map[string]bool{"connected": true}
	}
	return map[string]string{"error": "unknown command " + c.Do}
}

// run makes calls, as many at a time as is asked for, until they are enough or the time is over.
func run(c command, call func(index int) error) phase {
	var issued, failures atomic.Int64
	var firstError atomic.Value
	var workers sync.WaitGroup
	latencies := make([][]float64, c.InFlight)
	cpu, start := cpuMs(), time.Now()
	limit := time.Duration(c.LimitMs * float64(time.Millisecond))
	for w := range c.InFlight {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				at := time.Now()
				if at.Sub(start) >= limit {
					return
				}
				index := issued.Add(1)
				if index > int64(c.Calls) {
					return
				}
				if err := call(int(index)); err != nil {
					failures.Add(1)
					firstError.CompareAndSwap(nil, err.Error())
				}
				latencies[w] = append(latencies[w], float64(time.Since(at))/float64(time.Millisecond))
			}
		}()
	}
	workers.Wait()
	p := phase{
		Failures: int(failures.Load()),
		WallMs:   float64(time.Since(start)) / float64(time.Millisecond),
		CpuMs:    cpuMs() - cpu,
	}
	p.count(latencies)
	if text, ok := firstError.Load().(string); ok {
		p.Error = text
	}
	return p
}

// count fills in what the latencies of the calls say, which come in parts.
func (p *phase) count(latencies [][]float64) {
	all := slices.Concat(latencies...)
	slices.Sort(all)
	p.Calls = len(all)
	if len(all) > 0 {
		p.P50 = all[len(all)/2]
		p.P99 = all[len(all)*99/100]
	}
}

func cpuMs() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e6
}

func readUsage(gc bool) usage {
	if gc {
		runtime.GC()
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	// A goroutine's stack is as much the price of a connection as what it points to.
	return usage{CpuMs: cpuMs(), HeapBytes: m.HeapAlloc + m.StackInuse, RssBytes: residentBytes()}
}

// residentBytes reads the second field of statm, in pages (proc(5)).
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}

// mismatch is the error of an answer that is not what was asked for.
func mismatch(what string) error {
	return fmt.Errorf("wrong answer to %s", what)
}
