// The benchmark's programs in Go: a grpc-go server, a grpc-go client that is also the load generator of the server rows, and the
// floor: bytes echoed over TCP. Speaks the protocol of bench/README.md on stdin and stdout. GOMAXPROCS is the caller's to set.
package main

import (
	"flag"
	"log"
	"os"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: lictor-bench server|client|echo-server|echo-client [--ports N] [--targets HOST:PORT,...]")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	ports := flags.Int("ports", 1, "ports to listen on")
	targets := flags.String("targets", "", "servers to call, HOST:PORT,...")
	_ = flags.Parse(os.Args[2:])
	addresses := strings.Split(*targets, ",")
	switch os.Args[1] {
	case "server":
		obey(serveGrpc(*ports), nil)
	case "client":
		obey(nil, newGrpcCaller(addresses))
	case "echo-server":
		obey(serveEcho(*ports), nil)
	case "echo-client":
		obey(nil, newEchoCaller(addresses))
	default:
		log.Fatalf("no such program: %s", os.Args[1])
	}
}
