use crate::bench::bench_service_server::{BenchService, BenchServiceServer};
use crate::bench::{ChatRequest, ChatResponse, DownloadRequest, DownloadResponse, EchoRequest, EchoResponse};
use crate::hello::hello_service_server::{HelloService, HelloServiceServer};
use crate::hello::{HelloRequest, HelloResponse};
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Hello {
    address: String,
}

#[tonic::async_trait]
impl HelloService for Hello {
    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        let HelloRequest { name, num1, num2 } = request.into_inner();
        let message = format!("Hello! {name}!This is Server: {}", self.address);
        let result = num1.wrapping_add(num2);
        Ok(Response::new(HelloResponse { message, result }))
    }
}

struct Bench;

#[tonic::async_trait]
impl BenchService for Bench {
    type DownloadStream = Messages<DownloadResponse>;
    type ChatStream = Messages<ChatResponse>;

    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let payload = request.into_inner().payload;
        Ok(Response::new(EchoResponse { payload }))
    }

    async fn download(&self, request: Request<DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        let DownloadRequest { count, bytes } = request.into_inner();
        let payload = vec![0; bytes as usize];
        let messages = (0..count).map(move |_| Ok(DownloadResponse { payload: payload.clone() }));
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }

    async fn chat(&self, request: Request<Streaming<ChatRequest>>) -> Result<Response<Self::ChatStream>, Status> {
        let answers =
            request.into_inner().map(|message| message.map(|ChatRequest { payload }| ChatResponse { payload }));
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Starts one server on each of so many free ports of loopback.
pub async fn serve(count: usize) -> Result<Vec<u16>, Box<dyn std::error::Error>> {
    let mut ports = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        ports.push(address.port());
        let server = Server::builder()
            .add_service(HelloServiceServer::new(Hello { address: address.to_string() }))
            .add_service(BenchServiceServer::new(Bench));
        // The server's own option reaches only listeners that it opens itself.
        let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::spawn(server.serve_with_incoming(connections));
    }
    Ok(ports)
}
