// server-consul is a server as Go programmers write one today: grpc-go, registered with its gRPC health check in one
// call, deregistered before it stops. Prints "ready HOST:PORT" once it is registered; SIGTERM and SIGINT end it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	hello "lictor.test/interop/gen/HelloService_proto"
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

func main() {
	consul := flag.String("consul", "127.0.0.1:8500", "Consul agent, host:port")
	service := flag.String("service", "HelloService", "service to register")
	host := flag.String("host", "127.0.0.1", "address to listen on and to announce")
	port := flag.Int("port", 0, "port to listen on; 0 takes a free one")
	flag.Parse()

	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", *host, *port))
	if err != nil {
		log.Fatal(err)
	}
	address := listener.Addr().String()
	server := grpc.NewServer()
	hello.RegisterHelloServiceServer(server, &helloServer{address: address})
	healthpb.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	agent, err := api.NewClient(&api.Config{Address: *consul})
	if err != nil {
		log.Fatal(err)
	}
	id := address + ":" + *service
	err = agent.Agent().ServiceRegister(&api.AgentServiceRegistration{
		ID:      id,
		Name:    *service,
		Tags:    []string{*service},
		Address: *host,
		Port:    listener.Addr().(*net.TCPAddr).Port,
		Check:   &api.AgentServiceCheck{GRPC: address, Interval: "1s", Status: api.HealthPassing},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready", address)

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-served:
		log.Fatal(err)
	case <-signals:
	}
	if err := agent.Agent().ServiceDeregister(id); err != nil {
		log.Print(err)
	}
	time.Sleep(200 * time.Millisecond) // lets watchers hear of it
	server.GracefulStop()
}
