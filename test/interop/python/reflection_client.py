"""Calls a server that it has no code and no .proto file of: everything comes from reflection (v1alpha, which is what
grpcio-reflection asks for). Arguments: HOST:PORT, the full name of a method, its request in JSON. Prints one line of JSON."""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main(address: str, name: str, request: str) -> None:
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = descriptor_pool.DescriptorPool(database)
        service, _, method_name = name.rpartition(".")
        method = pool.FindServiceByName(service).FindMethodByName(method_name)
        request_class = message_factory.GetMessageClass(method.input_type)
        response_class = message_factory.GetMessageClass(method.output_type)
        call = channel.unary_unary(
            f"/{service}/{method_name}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=response_class.FromString,
        )
        answer = call(json_format.Parse(request, request_class()), timeout=10)
        print(
            json.dumps(
                {
                    "services": list(database.get_services()),
                    "file": method.containing_service.file.name,
                    "answer": json_format.MessageToDict(answer, descriptor_pool=pool),
                }
            )
        )


main(*sys.argv[1:])
