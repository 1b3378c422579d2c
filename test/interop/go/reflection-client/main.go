// Asks a server for all that its reflection tells, by the version that is named and no other, and prints it as one line of
// JSON: for each service its methods, and the extensions of one message.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jhump/protoreflect/desc"
	"github.com/jhump/protoreflect/grpcreflect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

type summary struct {
	// Methods by the full name of their service: "Name(Input) Output".
	Services map[string][]string `json:"services"`
	// Extensions by their numbers.
	Extensions map[int32]string `json:"extensions"`
	// What a symbol that nobody has is answered with.
	Unknown string `json:"unknown"`
}

func main() {
	server := flag.String("server", "", "HOST:PORT")
	version := flag.String("version", "v1", "v1 or v1alpha")
	extended := flag.String("extended", "", "message whose extensions are listed")
	flag.Parse()
	if err := run(*server, *version, *extended); err != nil {
		log.Fatal(err)
	}
}

func run(server, version, extended string) error {
	conn, err := grpc.NewClient(server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var client *grpcreflect.Client
	switch version {
	case "v1":
		client = grpcreflect.NewClientV1(ctx, reflectionv1.NewServerReflectionClient(conn))
	case "v1alpha":
		client = grpcreflect.NewClientV1Alpha(ctx, reflectionv1alpha.NewServerReflectionClient(conn))
	default:
		return fmt.Errorf("no version %q", version)
	}
	defer client.Reset()

	result := summary{Services: map[string][]string{}, Extensions: map[int32]string{}}
	services, err := client.ListServices()
	if err != nil {
		return err
	}
	for _, name := range services {
		service, err := client.ResolveService(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		result.Services[name] = methods(service)
	}
	numbers, err := client.AllExtensionNumbersForType(extended)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		extension, err := client.ResolveExtension(extended, number)
		if err != nil {
			return fmt.Errorf("extension %d: %w", number, err)
		}
		result.Extensions[number] = extension.GetFullyQualifiedName()
	}
	if _, err := client.FileContainingSymbol("no.Such"); err != nil {
		result.Unknown = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func methods(service *desc.ServiceDescriptor) []string {
	var lines []string
	for _, method := range service.GetMethods() {
		lines = append(lines, fmt.Sprintf("%s(%s) %s", method.GetName(),
			method.GetInputType().GetFullyQualifiedName(), method.GetOutputType().GetFullyQualifiedName()))
	}
	return lines
}
