// Generates the stubs from the same .proto files as everyone's. Needs protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tonic_prost_build::configure().compile_protos(
        &["../../proto/HelloService_proto/hello_service.proto", "../proto/lictor/bench/v1/bench.proto"],
        &["../../proto", "../proto"],
    )?;
    Ok(())
}
