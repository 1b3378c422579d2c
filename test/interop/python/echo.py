"""EchoService on grpcio, both sides. Arguments: a file with the descriptors of echo.proto, then "server", or "client HOST:PORT".
The server prints "ready HOST:PORT" and ends by SIGTERM; the client makes every kind of call and prints one line of JSON that
tells what came of them: see echo-calls.ts."""

import json
import queue
import signal
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "lictor.test.v1.EchoService"
MIB = 1 << 20


def load(path):
    """The message classes and the methods of the service."""
    with open(path, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    methods = pool.FindServiceByName(SERVICE).methods_by_name
    return {name: (classes(method.input_type), classes(method.output_type)) for name, method in methods.items()}


def classes(descriptor):
    return message_factory.GetMessageClass(descriptor)


def fail(code, context):
    if code != 0:
        status = next(status for status in grpc.StatusCode if status.value[0] == code)
        context.set_trailing_metadata((("x-echo-error", "yes"),))
        context.abort(status, "asked to fail")


def serve(methods):
    def unary(request, context):
        metadata = dict(context.invocation_metadata())
        echoed = {"x-echo-header": "x-echo", "x-echo-header-bin": "x-echo-bin"}
        context.send_initial_metadata([(name, metadata[asked]) for name, asked in echoed.items() if asked in metadata])
        time.sleep(request.delay_ms / 1000)
        fail(request.fail_code, context)
        return methods["Unary"][1](text=request.text, payload=request.payload)

    def server_stream(request, context):
        for index in range(request.count):
            time.sleep(request.delay_ms / 1000)
            yield methods["ServerStream"][1](text=request.text, index=index)
        fail(request.fail_code, context)

    def client_stream(requests, _):
        texts = [request.text for request in requests]
        return methods["ClientStream"][1](text=",".join(texts), count=len(texts))

    def bidi(requests, context):
        for index, request in enumerate(requests):
            time.sleep(request.delay_ms / 1000)
            fail(request.fail_code, context)
            yield methods["Bidi"][1](text=request.text, index=index)

    def handler(make, name, behavior):
        request, response = methods[name]
        return make(behavior, request_deserializer=request.FromString, response_serializer=response.SerializeToString)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), compression=grpc.Compression.Gzip)
    handlers = {
        "Unary": handler(grpc.unary_unary_rpc_method_handler, "Unary", unary),
        "ServerStream": handler(grpc.unary_stream_rpc_method_handler, "ServerStream", server_stream),
        "ClientStream": handler(grpc.stream_unary_rpc_method_handler, "ClientStream", client_stream),
        "Bidi": handler(grpc.stream_stream_rpc_method_handler, "Bidi", bidi),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"ready 127.0.0.1:{port}", flush=True)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    told.wait()
    server.stop(1).wait()


def call(channel, methods):
    def stub(make, name):
        request, response = methods.get(name, methods["Unary"])
        return make(
            f"/{SERVICE}/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    unary = stub(channel.unary_unary, "Unary")
    request_of = {name: classes[0] for name, classes in methods.items()}

    def metadata():
        asked = (("x-echo", "value"), ("x-echo-bin", b"\x00\x01\xff"))
        _, answer = unary.with_call(request_of["Unary"](text="metadata"), metadata=asked)
        got = dict(answer.initial_metadata())
        return [got.get("x-echo-header"), got.get("x-echo-header-bin", b"").hex()]

    def whole(calls, size, compression=None):
        requests = [
            request_of["Unary"](text=f"call {at}", payload=bytes([(at * 7) & 255]) * size) for at in range(calls)
        ]
        under_way = [unary.future(request, compression=compression, timeout=30) for request in requests]
        answers = [future.result() for future in under_way]
        return sum(a.text == r.text and a.payload == r.payload for a, r in zip(answers, requests))

    def failure():
        try:
            unary(request_of["Unary"](fail_code=9))
        except grpc.RpcError as error:
            return [error.code().value[0], error.details(), dict(error.trailing_metadata()).get("x-echo-error")]

    def code(invoke):
        try:
            invoke()
            return 0
        except grpc.RpcError as error:
            return error.code().value[0]

    def canceled():
        future = unary.future(request_of["Unary"](delay_ms=5000))
        time.sleep(0.05)
        future.cancel()
        # Streams know the code; a canceled future has an exception of its own.
        stream = stub(channel.unary_stream, "ServerStream")(request_of["ServerStream"](count=100, delay_ms=20))
        next(stream)
        stream.cancel()
        return code(lambda: list(stream))

    def server_stream():
        answers = stub(channel.unary_stream, "ServerStream")(request_of["ServerStream"](text="stream", count=1000))
        return sum(answer.index == at for at, answer in enumerate(answers))

    def failed_stream():
        answers = stub(channel.unary_stream, "ServerStream")(request_of["ServerStream"](count=3, fail_code=9))
        count = 0
        try:
            for _ in answers:
                count += 1
        except grpc.RpcError as error:
            return [count, error.code().value[0]]
        return [count, 0]

    def client_stream():
        requests = (request_of["ClientStream"](text=str(at)) for at in range(1000))
        return stub(channel.stream_unary, "ClientStream")(requests).count

    def bidi():
        asked = queue.Queue()
        asked.put(0)
        requests = (request_of["Bidi"](text=str(at)) for at in iter(asked.get, None))
        count = 0
        for answer in stub(channel.stream_stream, "Bidi")(requests):
            count += answer.text == str(count)
            asked.put(count if count < 100 else None)
        return count

    return {
        "metadata": metadata(),
        "calls": whole(500, 10),
        "payloads": whole(20, MIB),
        "zipped": whole(20, 100_000, grpc.Compression.Gzip),
        "failure": failure(),
        "deadline": code(lambda: unary(request_of["Unary"](delay_ms=5000), timeout=0.1)),
        "canceled": canceled(),
        "unknown": code(lambda: stub(channel.unary_unary, "Missing")(request_of["Unary"]())),
        "serverStream": server_stream(),
        "failedStream": failed_stream(),
        "clientStream": client_stream(),
        "bidi": bidi(),
    }


def main(descriptors, role, address=None):
    methods = load(descriptors)
    if role == "server":
        serve(methods)
        return
    with grpc.insecure_channel(address) as channel:
        print(json.dumps(call(channel, methods)))


main(*sys.argv[1:])
