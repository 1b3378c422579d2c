// The chaos suite's client on grpc-go: arguments, orders and ledger are those of chaos-client.ts. Set up as its users would for the same
// work: grpc-consul-resolver, round_robin, wait for ready, and a retry policy for the methods that may run twice.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/url"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "github.com/mbobakov/grpc-consul-resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const service = "lictor.chaos.v1.ChaosService"

// Messages of a stream.
const streamLength = 5

const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [
    {
      "name": [{"service": "` + service + `", "method": "Idempotent"}, {"service": "` + service + `", "method": "Safe"}],
      "waitForReady": true,
      "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 1.6,
        "retryableStatusCodes": ["UNAVAILABLE"]
      }
    },
    {"name": [{"service": "` + service + `"}], "waitForReady": true}
  ]
}`

// All requests have the same fields, and so have all answers as far as they are read here.
type request struct {
	id      string
	delayMs int64
	count   int64
}

type answer struct {
	server string
	// The index of a stream's message, or the count of what was sent up.
	number int64
}

// codec writes and reads the few fields there are, so that no generated code is needed.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(message any) ([]byte, error) {
	one, ok := message.(*request)
	if !ok {
		return nil, fmt.Errorf("cannot write %T", message)
	}
	bytes := protowire.AppendTag(nil, 1, protowire.BytesType)
	bytes = protowire.AppendString(bytes, one.id)
	for index, value := range []int64{one.delayMs, one.count} {
		if value != 0 {
			bytes = protowire.AppendTag(bytes, protowire.Number(index+2), protowire.VarintType)
			bytes = protowire.AppendVarint(bytes, uint64(value))
		}
	}
	return bytes, nil
}

func (codec) Unmarshal(bytes []byte, message any) error {
	one, ok := message.(*answer)
	if !ok {
		return fmt.Errorf("cannot read %T", message)
	}
	*one = answer{}
	for len(bytes) > 0 {
		number, kind, size := protowire.ConsumeTag(bytes)
		if size < 0 {
			return protowire.ParseError(size)
		}
		bytes = bytes[size:]
		switch {
		case number == 1 && kind == protowire.BytesType:
			text, size := protowire.ConsumeString(bytes)
			if size < 0 {
				return protowire.ParseError(size)
			}
			one.server, bytes = text, bytes[size:]
		case number == 2 && kind == protowire.VarintType:
			value, size := protowire.ConsumeVarint(bytes)
			if size < 0 {
				return protowire.ParseError(size)
			}
			one.number, bytes = int64(value), bytes[size:]
		default:
			size := protowire.ConsumeFieldValue(number, kind, bytes)
			if size < 0 {
				return protowire.ParseError(size)
			}
			bytes = bytes[size:]
		}
	}
	return nil
}

var errWrong = errors.New("an answer that is not the call's")

type load struct {
	connection *grpc.ClientConn
	timeout    time.Duration
	begun      time.Time
	prefix     string
	maxDelayMs int64
	mix        []string

	mutex    sync.Mutex
	ledger   *os.File
	random   *rand.Rand
	calls    int
	active   int
	stopping bool
	ended    chan struct{}
}

func (l *load) write(line string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, _ = l.ledger.WriteString(line + "\n")
}

func (l *load) isStopping() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.stopping
}

// Calls of the first two seconds have ten.
const (
	warmUp        = 2 * time.Second
	warmUpTimeout = 10 * time.Second
)

// callOnce makes a call and writes how it went.
func (l *load) callOnce() {
	l.mutex.Lock()
	number := l.calls
	l.calls++
	l.active++
	delayMs := l.random.Int63n(l.maxDelayMs + 1)
	l.mutex.Unlock()
	method := l.mix[number%len(l.mix)]
	id := fmt.Sprintf("%s-%d", l.prefix, number)
	l.write(fmt.Sprintf("sent %s %s %d", id, method, time.Now().UnixMilli()))
	started := time.Now()
	timeout := l.timeout
	// As of all clients: see load.ts.
	if started.Sub(l.begun) < warmUp {
		timeout = max(timeout, warmUpTimeout)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	server, err := l.makeCall(ctx, method, &request{id: id, delayMs: delayMs})
	cancel()
	took := float64(time.Since(started).Microseconds()) / 1000
	switch {
	case err == nil:
		l.write(fmt.Sprintf(`done %s ok - %.1f %s ""`, id, took, server))
	case errors.Is(err, errWrong):
		l.write(fmt.Sprintf(`done %s wrong - %.1f - ""`, id, took))
	default:
		told := status.Convert(err)
		text, _ := json.Marshal(told.Message())
		// It tells its caller nothing of its fate, who must take the worst for true.
		l.write(fmt.Sprintf("done %s %s maybe-processed %.1f - %s", id, snake(told.Code().String()), took, text))
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.active--
	if l.active == 0 && l.stopping {
		close(l.ended)
	}
}

func (l *load) makeCall(ctx context.Context, method string, asked *request) (string, error) {
	path := "/" + service + "/" + strings.ToUpper(method[:1]) + method[1:]
	got := &answer{}
	switch method {
	case "down":
		asked.count = streamLength
		stream, err := l.connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
		if err != nil {
			return "", err
		}
		if err := send(stream, asked, 1); err != nil {
			return "", err
		}
		return receive(stream)
	case "both":
		stream, err := l.connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path)
		if err != nil {
			return "", err
		}
		go func() { _ = send(stream, asked, streamLength) }()
		return receive(stream)
	case "up":
		stream, err := l.connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, path)
		if err != nil {
			return "", err
		}
		if err := send(stream, asked, streamLength); err != nil {
			return "", err
		}
		if err := stream.RecvMsg(got); err != nil {
			return "", err
		}
		if got.number != streamLength {
			return "", errWrong
		}
		return got.server, nil
	default:
		err := l.connection.Invoke(ctx, path, asked, got)
		return got.server, err
	}
}

// send sends a message so often. The end of a stream that the server has ended is told by its status.
func send(stream grpc.ClientStream, message *request, times int) error {
	for index := range times {
		if index > 0 {
			time.Sleep(time.Duration(message.delayMs) * time.Millisecond)
		}
		if err := stream.SendMsg(message); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return stream.CloseSend()
}

func receive(stream grpc.ClientStream) (string, error) {
	var received int64
	server := ""
	for {
		got := &answer{}
		err := stream.RecvMsg(got)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if got.number != received {
			return "", errWrong
		}
		received++
		server = got.server
	}
	if received != streamLength {
		return "", errWrong
	}
	return server, nil
}

func (l *load) begin(rate float64, concurrency int) {
	l.begun = time.Now()
	if concurrency > 0 {
		for range concurrency {
			go func() {
				for !l.isStopping() {
					l.callOnce()
				}
			}()
		}
		return
	}
	started := time.Now()
	begun := 0
	for !l.isStopping() {
		due := int(time.Since(started).Seconds() * rate)
		for ; begun < due; begun++ {
			go l.callOnce()
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func main() {
	consul := flag.String("consul", "http://127.0.0.1:8500", "")
	name := flag.String("service", "chaos", "")
	ledger := flag.String("ledger", "", "")
	prefix := flag.String("prefix", "call", "")
	mix := flag.String("mix", "plain=4,idempotent=3,safe=1,down=1,up=1,both=1", "")
	timeoutMs := flag.Int64("timeout", 10_000, "")
	maxDelayMs := flag.Int64("delay", 4, "")
	rate := flag.Float64("rate", 100, "")
	concurrency := flag.Int("concurrency", 0, "")
	seed := flag.Int64("seed", 1, "")
	// Ours alone.
	flag.String("store", "", "")
	flag.String("options", "", "")
	flag.String("poll", "", "")
	flag.Parse()

	file, err := os.OpenFile(*ledger, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	fail(err)
	agent, err := url.Parse(strings.Split(*consul, ",")[0])
	fail(err)
	connection, err := grpc.NewClient(
		fmt.Sprintf("consul://%s/%s?healthy=true", agent.Host, *name),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})),
	)
	fail(err)
	l := &load{
		connection: connection,
		timeout:    time.Duration(*timeoutMs) * time.Millisecond,
		prefix:     *prefix,
		maxDelayMs: *maxDelayMs,
		mix:        readMix(*mix),
		ledger:     file,
		random:     rand.New(rand.NewSource(*seed)),
		ended:      make(chan struct{}),
	}
	fmt.Println("ready")
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		switch orders.Text() {
		case "go":
			go l.begin(*rate, *concurrency)
		case "sample":
			var memory runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&memory)
			fmt.Printf("sample {\"heapBytes\":%d}\n", memory.HeapAlloc)
		case "stop":
			l.mutex.Lock()
			l.stopping = true
			if l.active == 0 {
				close(l.ended)
			}
			l.mutex.Unlock()
			<-l.ended
			fmt.Println("ended")
			os.Exit(0)
		}
	}
	// Whoever started this is dead.
	os.Exit(3)
}

// readMix puts the methods in the order in which they take turns: spread as evenly as their shares allow.
func readMix(text string) []string {
	type turn struct {
		method string
		place  float64
	}
	var turns []turn
	for _, part := range strings.Split(text, ",") {
		method, share, _ := strings.Cut(part, "=")
		count, err := strconv.Atoi(share)
		fail(err)
		for index := range count {
			turns = append(turns, turn{method, (float64(index) + 0.5) / float64(count)})
		}
	}
	sort.SliceStable(turns, func(a, b int) bool { return turns[a].place < turns[b].place })
	methods := make([]string, len(turns))
	for index, one := range turns {
		methods[index] = one.method
	}
	return methods
}

// snake turns DeadlineExceeded into deadline_exceeded.
func snake(text string) string {
	var out strings.Builder
	for index, letter := range text {
		if letter >= 'A' && letter <= 'Z' && index > 0 {
			out.WriteByte('_')
		}
		out.WriteRune(letter)
	}
	return strings.ToLower(out.String())
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
