package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"

	"google.golang.org/grpc"

	hello "lictor.bench/gen/HelloService_proto"
	bench "lictor.bench/gen/lictor/bench/v1"
)

type helloServer struct {
	hello.UnimplementedHelloServiceServer
	address string
}

func (s *helloServer) SayHello(_ context.Context, in *hello.HelloRequest) (*hello.HelloResponse, error) {
	return &hello.HelloResponse{
		Message: "Hello! " + in.GetName() + "!" + "This is Server: " + s.address,
		Result:  in.GetNum1() + in.GetNum2(),
	}, nil
}

type benchServer struct {
	bench.UnimplementedBenchServiceServer
}

func (*benchServer) Echo(_ context.Context, in *bench.EchoRequest) (*bench.EchoResponse, error) {
	return &bench.EchoResponse{Payload: in.GetPayload()}, nil
}

func (*benchServer) Download(in *bench.DownloadRequest, out grpc.ServerStreamingServer[bench.DownloadResponse]) error {
	payload := make([]byte, in.GetBytes())
	for range in.GetCount() {
		if err := out.Send(&bench.DownloadResponse{Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}

func (*benchServer) Chat(stream grpc.BidiStreamingServer[bench.ChatRequest, bench.ChatResponse]) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&bench.ChatResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// serveGrpc starts one server on each of so many free ports of loopback.
func serveGrpc(count int) []int {
	return listen(count, func(listener net.Listener) {
		server := grpc.NewServer()
		hello.RegisterHelloServiceServer(server, &helloServer{address: listener.Addr().String()})
		bench.RegisterBenchServiceServer(server, &benchServer{})
		log.Fatal(server.Serve(listener))
	})
}

func listen(count int, serve func(net.Listener)) []int {
	ports := make([]int, count)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		ports[i] = listener.Addr().(*net.TCPAddr).Port
		go serve(listener)
	}
	return ports
}
