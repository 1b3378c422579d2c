// The benchmark's programs in Rust: a tonic server and a tonic client, each on one thread. Speaks the protocol of
// bench/README.md on stdin and stdout.

mod client;
mod protocol;
mod server;

pub mod hello {
    tonic::include_proto!("hello_service_proto");
}

pub mod bench {
    tonic::include_proto!("lictor.bench.v1");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    match arguments.get(1).map(String::as_str) {
        Some("server") => {
            let ports = option("--ports").unwrap_or("1".into()).parse()?;
            let ports = server::serve(ports).await?;
            protocol::obey(ports, None).await;
        }
        Some("client") => {
            let targets = option("--targets").unwrap_or_default();
            let targets: Vec<String> = targets.split(',').map(String::from).collect();
            protocol::obey(Vec::new(), Some(client::Caller::new(&targets)?)).await;
        }
        _ => return Err("usage: lictor-bench-tonic server|client [--ports N] [--targets HOST:PORT,...]".into()),
    }
    Ok(())
}
