package main

import (
	"context"
	"errors"
	"io"
	"log"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	hello "lictor.bench/gen/HelloService_proto"
	bench "lictor.bench/gen/lictor/bench/v1"
)

const (
	callTimeout   = 5 * time.Second
	streamTimeout = 60 * time.Second
	// Messages of a chat that may be under way unanswered; the same in every program.
	chatWindow = 256
)

type heldStream struct {
	stream grpc.BidiStreamingClient[bench.ChatRequest, bench.ChatResponse]
	cancel context.CancelFunc
}

type grpcCaller struct {
	hello hello.HelloServiceClient
	bench bench.BenchServiceClient
	mutex sync.Mutex
	held  []heldStream
	// Connections that only wait.
	idle []*grpc.ClientConn
}

// dial opens one connection to each target and calls them in turn: what round_robin does, over a fixed list.
func dial(targets []string) *grpc.ClientConn {
	addresses := make([]resolver.Address, len(targets))
	for i, target := range targets {
		addresses[i] = resolver.Address{Addr: target}
	}
	list := manual.NewBuilderWithScheme("bench")
	list.InitialState(resolver.State{Addresses: addresses})
	conn, err := grpc.NewClient("bench:///list",
		grpc.WithResolvers(list),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
	)
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

func newGrpcCaller(targets []string) *grpcCaller {
	conn := dial(targets)
	return &grpcCaller{hello: hello.NewHelloServiceClient(conn), bench: bench.NewBenchServiceClient(conn)}
}

func outgoing(timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	return metadata.AppendToOutgoingContext(ctx, "x-bench", "lictor"), cancel
}

func (c *grpcCaller) unary(index int) error {
	return sayHello(c.hello, index)
}

func sayHello(client hello.HelloServiceClient, index int) error {
	ctx, cancel := outgoing(callTimeout)
	defer cancel()
	num1 := int32(index)
	answer, err := client.SayHello(ctx, &hello.HelloRequest{Name: "bench", Num1: num1, Num2: 7})
	if err != nil {
		return err
	}
	if answer.GetResult() != num1+7 || !strings.HasPrefix(answer.GetMessage(), "Hello! bench!This is Server: ") {
		return mismatch("SayHello")
	}
	return nil
}

func (c *grpcCaller) echo(bytes int) error {
	ctx, cancel := outgoing(callTimeout)
	defer cancel()
	answer, err := c.bench.Echo(ctx, &bench.EchoRequest{Payload: payloadOf(bytes)})
	if err != nil {
		return err
	}
	return checkPayload(answer.GetPayload(), bytes, "Echo")
}

func (c *grpcCaller) download(messages, bytes int) error {
	ctx, cancel := outgoing(streamTimeout)
	defer cancel()
	stream, err := c.bench.Download(ctx, &bench.DownloadRequest{Count: int32(messages), Bytes: int32(bytes)})
	if err != nil {
		return err
	}
	for read := 0; ; read++ {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if read != messages {
				return mismatch("Download")
			}
			return nil
		}
		if err != nil {
			return err
		}
		if len(message.GetPayload()) != bytes {
			return mismatch("Download")
		}
	}
}

func (c *grpcCaller) chat(messages, bytes int) error {
	ctx, cancel := outgoing(streamTimeout)
	defer cancel()
	stream, err := c.bench.Chat(ctx)
	if err != nil {
		return err
	}
	window := make(chan struct{}, chatWindow)
	sent := make(chan error, 1)
	go func() {
		request := &bench.ChatRequest{Payload: payloadOf(bytes)}
		for range messages {
			select {
			case window <- struct{}{}:
			case <-ctx.Done():
				sent <- ctx.Err()
				return
			}
			if err := stream.Send(request); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	for range messages {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := checkPayload(answer.GetPayload(), bytes, "Chat"); err != nil {
			return err
		}
		<-window
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return mismatch("Chat")
	}
	return <-sent
}

func (c *grpcCaller) hold() error {
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := c.bench.Chat(ctx)
	if err == nil {
		err = stream.Send(&bench.ChatRequest{Payload: payloadOf(16)})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		cancel()
		return err
	}
	c.mutex.Lock()
	c.held = append(c.held, heldStream{stream, cancel})
	c.mutex.Unlock()
	return nil
}

func (c *grpcCaller) release() {
	for _, held := range c.held {
		_ = held.stream.CloseSend()
	}
	for _, held := range c.held {
		_, _ = held.stream.Recv()
		held.cancel()
	}
	c.held = nil
}

// One ClientConn a target, so that each has certainly been called when this returns.
func (c *grpcCaller) connect(targets []string) error {
	for i, target := range targets {
		conn := dial([]string{target})
		c.idle = append(c.idle, conn)
		if err := sayHello(hello.NewHelloServiceClient(conn), i); err != nil {
			return err
		}
	}
	return nil
}

var payloads sync.Map

// payloadOf returns as many bytes, always the same ones: making them is not what is measured.
func payloadOf(bytes int) []byte {
	if known, ok := payloads.Load(bytes); ok {
		return known.([]byte)
	}
	payload := make([]byte, bytes)
	for i := range payload {
		payload[i] = byte(i)
	}
	payloads.Store(bytes, payload)
	return payload
}

func checkPayload(payload []byte, bytes int, what string) error {
	if len(payload) != bytes || (bytes > 0 && payload[bytes-1] != byte(bytes-1)) {
		return mismatch(what)
	}
	return nil
}
