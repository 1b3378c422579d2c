// tonic meets lictor. Arguments: "server", or "client HOST:PORT".

mod client;
mod echo {
    include!(concat!(env!("OUT_DIR"), "/lictor.test.v1.EchoService.rs"));
}
mod messages;
mod server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["server"] => server::run().await,
        ["client", address] => client::run(address).await,
        _ => Err("the arguments must be \"server\", or \"client HOST:PORT\"".into()),
    }
}
