// server-original behaves as the server of 2019 that lictor replaces, on the grpc-go of that time: it registers the
// service, then a TTL check of the same id, heartbeats every 5 s, and deregisters both only after it has stopped. It adds
// what a test needs: flags, and "ready HOST:PORT" once it is registered.
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

	hello "lictor.test/interop/original/gen/HelloService_proto"
)

type helloServer struct {
	address string
}

func (s *helloServer) SayHello(_ context.Context, in *hello.HelloRequest) (*hello.HelloResponse, error) {
	log.Printf("client %s called SayHello from Server: %s", in.Name, s.address)
	return &hello.HelloResponse{
		Message: "Hello! " + in.Name + "!" + "This is Server: " + s.address,
		Result:  in.Num1 + in.Num2,
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
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	client, err := api.NewClient(&api.Config{Address: *consul})
	if err != nil {
		log.Fatal(err)
	}
	agent := client.Agent()
	id := address + ":" + *service
	err = agent.ServiceRegister(&api.AgentServiceRegistration{
		ID:      id,
		Name:    *service,
		Tags:    []string{*service},
		Address: *host,
		Port:    listener.Addr().(*net.TCPAddr).Port,
	})
	if err != nil {
		log.Fatal(err)
	}
	err = agent.CheckRegister(&api.AgentCheckRegistration{
		ID:                id,
		Name:              *service,
		ServiceID:         id,
		AgentServiceCheck: api.AgentServiceCheck{TTL: "20s", Status: api.HealthPassing},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready", address)

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGABRT)
	heartbeat := time.NewTicker(5 * time.Second)
	for {
		select {
		case err := <-served:
			log.Fatal(err)
		case <-heartbeat.C:
			if err := agent.UpdateTTL(id, "", "passing"); err != nil {
				log.Print(err)
			}
		case received := <-signals:
			server.GracefulStop()
			if err := agent.ServiceDeregister(id); err != nil {
				log.Print(err)
			}
			if err := agent.CheckDeregister(id); err != nil {
				log.Print(err)
			}
			os.Exit(int(received.(syscall.Signal)))
		}
	}
}
