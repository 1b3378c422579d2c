// echo-server is EchoService on grpc-go, over messages that it knows by their descriptors alone. Its errors have a detail, an UnaryRequest.
// Arguments: a file with the descriptors of echo.proto, and a name for its answers. Prints "ready HOST:PORT", and "canceled" for every pause
// that its caller ended. SIGTERM stops it as servers are shut down.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// message is a dynamic message with its fields by name.
type message struct{ *dynamicpb.Message }

func (m message) field(name protoreflect.Name) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName(name)
}

func (m message) text(name protoreflect.Name) string { return m.Get(m.field(name)).String() }

func (m message) number(name protoreflect.Name) int { return int(m.Get(m.field(name)).Int()) }

func (m message) put(name protoreflect.Name, value any) message {
	m.Set(m.field(name), protoreflect.ValueOf(value))
	return m
}

// echo answers the calls of one server.
type echo struct {
	service protoreflect.ServiceDescriptor
	name    string
}

func (e echo) fail(code int) error {
	if code == 0 {
		return nil
	}
	detail := message{dynamicpb.NewMessage(e.service.Methods().ByName("Unary").Input())}.put("text", "detail")
	told, err := status.New(codes.Code(code), "asked to fail").WithDetails(protoadapt.MessageV1Of(detail.Message))
	if err != nil {
		log.Fatal(err)
	}
	return told.Err()
}

func pause(ctx context.Context, delayMs int) error {
	if delayMs == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		fmt.Println("canceled")
		return status.FromContextError(ctx.Err()).Err()
	case <-time.After(time.Duration(delayMs) * time.Millisecond):
		return nil
	}
}

// serve makes any of the calls: all are streams to grpc-go.
func (e echo) serve(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.Method(stream.Context())
	method := e.service.Methods().ByName(protoreflect.Name(path[strings.LastIndex(path, "/")+1:]))
	receive := func() (message, error) {
		in := dynamicpb.NewMessage(method.Input())
		return message{in}, stream.RecvMsg(in)
	}
	answer := func(text string) message {
		reply := message{dynamicpb.NewMessage(method.Output())}
		return reply.put("text", text).put("server", e.name)
	}
	ctx := stream.Context()
	asked, _ := metadata.FromIncomingContext(ctx)
	for from, to := range map[string]string{"x-echo": "x-echo-header", "x-echo-bin": "x-echo-header-bin"} {
		for _, value := range asked.Get(from) {
			if err := stream.SetHeader(metadata.Pairs(to, value)); err != nil {
				return err
			}
		}
	}
	for _, value := range asked.Get("x-echo") {
		stream.SetTrailer(metadata.Pairs("x-echo-trailer", value))
	}
	switch method.Name() {
	case "Unary", "UnaryIdempotent":
		in, err := receive()
		if err != nil {
			return err
		}
		if err := pause(ctx, in.number("delay_ms")); err != nil {
			return err
		}
		if code := in.number("fail_code"); code != 0 {
			stream.SetTrailer(metadata.Pairs("x-echo-error", "yes"))
			return e.fail(code)
		}
		reply := answer(in.text("text"))
		if payload := in.field("payload"); payload != nil {
			reply.put("payload", in.Get(payload).Bytes())
		}
		return stream.SendMsg(reply.Message)
	case "ServerStream":
		in, err := receive()
		if err != nil {
			return err
		}
		for index := range in.number("count") {
			if err := pause(ctx, in.number("delay_ms")); err != nil {
				return err
			}
			if err := stream.SendMsg(answer(in.text("text")).put("index", int32(index)).Message); err != nil {
				return err
			}
		}
		if code := in.number("fail_code"); code != 0 {
			stream.SetTrailer(metadata.Pairs("x-echo-error", "yes"))
			return e.fail(code)
		}
		return nil
	case "ClientStream":
		var texts []string
		for {
			in, err := receive()
			if errors.Is(err, io.EOF) {
				return stream.SendMsg(answer(strings.Join(texts, ",")).put("count", int32(len(texts))).Message)
			}
			if err != nil {
				return err
			}
			texts = append(texts, in.text("text"))
		}
	default:
		for index := int32(0); ; index++ {
			in, err := receive()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := pause(ctx, in.number("delay_ms")); err != nil {
				return err
			}
			if err := stream.SendMsg(answer(in.text("text")).put("index", index).Message); err != nil {
				return err
			}
		}
	}
}

func main() {
	bytes, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(bytes, &set); err != nil {
		log.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		log.Fatal(err)
	}
	found, err := files.FindDescriptorByName("lictor.test.v1.EchoService")
	if err != nil {
		log.Fatal(err)
	}
	e := echo{found.(protoreflect.ServiceDescriptor), os.Args[2]}
	description := grpc.ServiceDesc{ServiceName: string(e.service.FullName()), HandlerType: (*any)(nil)}
	methods := e.service.Methods()
	for index := range methods.Len() {
		description.Streams = append(description.Streams, grpc.StreamDesc{
			StreamName:    string(methods.Get(index).Name()),
			Handler:       e.serve,
			ServerStreams: true,
			ClientStreams: true,
		})
	}
	server := grpc.NewServer()
	server.RegisterService(&description, e)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		server.GracefulStop()
	}()
	fmt.Println("ready", listener.Addr())
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
