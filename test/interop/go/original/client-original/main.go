// client-original behaves as the client of 2019 that lictor replaces, on the grpc-go of that time: a resolver that polls
// Consul every 500 ms, round_robin, one fail-fast call after another. Its lines are those of the original. It adds what a
// test needs: flags, -n, and exit code 1 when a counted call failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hashicorp/consul/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer/roundrobin"
	"google.golang.org/grpc/resolver"

	hello "lictor.test/interop/original/gen/HelloService_proto"
)

// consulBuilder builds resolvers for the scheme "consul"; as in the original, for one agent and one service a process.
type consulBuilder struct {
	agent   *api.Client
	service string
}

func (b *consulBuilder) Scheme() string { return "consul" }

func (b *consulBuilder) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOption) (resolver.Resolver, error) {
	if target.Endpoint != b.service {
		return nil, fmt.Errorf("service %q is not %q", target.Endpoint, b.service)
	}
	r := &consulResolver{consulBuilder: b, cc: cc, now: make(chan struct{}, 1)}
	if err := r.read(); err != nil {
		return nil, err
	}
	go r.monitor()
	return r, nil
}

type consulResolver struct {
	*consulBuilder
	cc  resolver.ClientConn
	now chan struct{}
}

// read takes Service.Address and Service.Port as they are, joined by a colon.
func (r *consulResolver) read() error {
	entries, _, err := r.agent.Health().Service(r.service, "", true, nil)
	if err != nil {
		return err
	}
	var addresses []resolver.Address
	for _, entry := range entries {
		addresses = append(addresses, resolver.Address{Addr: fmt.Sprintf("%s:%d", entry.Service.Address, entry.Service.Port)})
	}
	r.cc.UpdateState(resolver.State{Addresses: addresses})
	return nil
}

func (r *consulResolver) monitor() {
	for {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-r.now:
		}
		if err := r.read(); err != nil {
			log.Print(err)
		}
	}
}

func (r *consulResolver) ResolveNow(resolver.ResolveNowOption) {
	select {
	case r.now <- struct{}{}:
	default:
	}
}

func (r *consulResolver) Close() {}

func main() {
	consul := flag.String("consul", "127.0.0.1:8500", "Consul agent, host:port")
	service := flag.String("service", "HelloService", "service to look for")
	every := flag.Duration("every", 2*time.Second, "pause between two calls")
	calls := flag.Int("n", 0, "calls to make; 0 calls for ever")
	num1 := flag.Int("num1", 1, "first summand")
	num2 := flag.Int("num2", 2, "second summand")
	flag.Parse()
	name := "GrassInWind2019"
	if flag.NArg() > 0 {
		name = flag.Arg(0)
	}

	agent, err := api.NewClient(&api.Config{Address: *consul})
	if err != nil {
		log.Fatal(err)
	}
	resolver.Register(&consulBuilder{agent: agent, service: *service})
	connection, err := grpc.Dial("consul:///"+*service, grpc.WithInsecure(), grpc.WithBalancerName(roundrobin.Name))
	if err != nil {
		log.Fatal(err)
	}
	client := hello.NewHelloServiceClient(connection)

	failures := 0
	for i := 0; *calls == 0 || i < *calls; i++ {
		if i > 0 {
			time.Sleep(*every)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		response, err := client.SayHello(ctx, &hello.HelloRequest{Name: name, Num1: int32(*num1), Num2: int32(*num2)})
		cancel()
		if err != nil {
			failures++
			fmt.Printf("client call SayHello failed: %v\n", err)
			continue
		}
		fmt.Printf("client get message: %s, result: %d\n", response.Message, response.Result)
	}
	if failures > 0 {
		os.Exit(1)
	}
}
