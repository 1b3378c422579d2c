// client-consul is a client as Go programmers write one today: grpc-go, the resolver grpc-consul-resolver, round_robin.
// It first waits until -servers different servers have answered, then counts -n calls and prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	_ "github.com/mbobakov/grpc-consul-resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	hello "lictor.test/interop/gen/HelloService_proto"
)

type summary struct {
	Calls    int            `json:"calls"`
	Failures int            `json:"failures"`
	Servers  map[string]int `json:"servers"`
	Messages map[string]int `json:"messages"`
	Results  map[string]int `json:"results"`
}

func main() {
	consul := flag.String("consul", "127.0.0.1:8500", "Consul agent, host:port")
	service := flag.String("service", "HelloService", "service to look for")
	name := flag.String("name", "grpc-go", "name to greet")
	num1 := flag.Int("num1", 1, "first summand")
	num2 := flag.Int("num2", 2, "second summand")
	calls := flag.Int("n", 100, "calls to count")
	every := flag.Duration("every", 0, "pause between two counted calls")
	servers := flag.Int("servers", 1, "different servers that must have answered before counting starts")
	wait := flag.Duration("wait", 15*time.Second, "how long to wait for them")
	flag.Parse()

	connection, err := grpc.NewClient(
		fmt.Sprintf("consul://%s/%s?healthy=true", *consul, *service),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := hello.NewHelloServiceClient(connection)
	request := &hello.HelloRequest{Name: *name, Num1: int32(*num1), Num2: int32(*num2)}

	call := func() (string, *hello.HelloResponse, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		var from peer.Peer
		response, err := client.SayHello(ctx, request, grpc.Peer(&from), grpc.WaitForReady(true))
		if err != nil {
			return "", nil, err
		}
		return from.Addr.String(), response, nil
	}

	seen := map[string]bool{}
	for deadline := time.Now().Add(*wait); len(seen) < *servers; time.Sleep(10 * time.Millisecond) {
		address, _, err := call()
		if err == nil {
			seen[address] = true
		}
		if time.Now().After(deadline) {
			log.Fatalf("only %d of %d servers answered within %s; last error: %v", len(seen), *servers, *wait, err)
		}
	}

	log.Print("counting")
	result := summary{Calls: *calls, Servers: map[string]int{}, Messages: map[string]int{}, Results: map[string]int{}}
	for range *calls {
		time.Sleep(*every)
		address, response, err := call()
		if err != nil {
			log.Printf("call failed: %v", err)
			result.Failures++
			continue
		}
		result.Servers[address]++
		result.Messages[response.GetMessage()]++
		result.Results[fmt.Sprint(response.GetResult())]++
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
	if result.Failures > 0 {
		os.Exit(1)
	}
}
