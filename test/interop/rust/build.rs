// Generates the client and the server of EchoService from the list of its methods; its messages are in src/messages.rs. So
// the build needs no protoc.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name: &str, route: &str, request: &str, response: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type(format!("crate::messages::{request}"))
            .output_type(format!("crate::messages::{response}"))
            .codec_path("tonic_prost::ProstCodec")
    };
    let echo = Service::builder()
        .name("EchoService")
        .package("lictor.test.v1")
        .method(method("unary", "Unary", "UnaryRequest", "UnaryResponse").build())
        // Nobody serves it: to see how an unknown method is answered.
        .method(method("missing", "Missing", "UnaryRequest", "UnaryResponse").build())
        .method(
            method("server_stream", "ServerStream", "ServerStreamRequest", "ServerStreamResponse")
                .server_streaming()
                .build(),
        )
        .method(
            method("client_stream", "ClientStream", "ClientStreamRequest", "ClientStreamResponse")
                .client_streaming()
                .build(),
        )
        .method(
            method("bidi", "Bidi", "BidiRequest", "BidiResponse")
                .client_streaming()
                .server_streaming()
                .build(),
        )
        .build();
    Builder::new().compile(&[echo]);
}
