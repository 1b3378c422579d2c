// EchoService on tonic. Prints "ready HOST:PORT"; SIGTERM ends it.

use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::echo::echo_service_server::{EchoService, EchoServiceServer};
use crate::messages::*;

pub async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?);
    let echo = EchoServiceServer::new(Echo)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let mut told = signal(SignalKind::terminate())?;
    tonic::transport::Server::builder()
        .add_service(echo)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
            told.recv().await;
        })
        .await?;
    Ok(())
}

struct Echo;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EchoService for Echo {
    async fn unary(&self, request: Request<UnaryRequest>) -> Result<Response<UnaryResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        pause(message.delay_ms).await;
        fail(message.fail_code)?;
        let mut response = Response::new(UnaryResponse { text: message.text, payload: message.payload });
        if let Some(value) = metadata.get("x-echo") {
            response.metadata_mut().insert("x-echo-header", value.clone());
        }
        if let Some(value) = metadata.get_bin("x-echo-bin") {
            response.metadata_mut().insert_bin("x-echo-header-bin", value.clone());
        }
        Ok(response)
    }

    async fn missing(&self, _: Request<UnaryRequest>) -> Result<Response<UnaryResponse>, Status> {
        Err(Status::unimplemented("nobody serves it"))
    }

    type ServerStreamStream = Answers<ServerStreamResponse>;

    async fn server_stream(
        &self,
        request: Request<ServerStreamRequest>,
    ) -> Result<Response<Self::ServerStreamStream>, Status> {
        let ServerStreamRequest { text, count, delay_ms, fail_code } = request.into_inner();
        let answers = async_stream::try_stream! {
            for index in 0..count {
                pause(delay_ms).await;
                yield ServerStreamResponse { text: text.clone(), index };
            }
            fail(fail_code)?;
        };
        Ok(Response::new(Box::pin(answers)))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<ClientStreamRequest>>,
    ) -> Result<Response<ClientStreamResponse>, Status> {
        let mut requests = request.into_inner();
        let mut texts = Vec::new();
        while let Some(request) = requests.next().await {
            texts.push(request?.text);
        }
        Ok(Response::new(ClientStreamResponse { text: texts.join(","), count: texts.len() as i32 }))
    }

    type BidiStream = Answers<BidiResponse>;

    async fn bidi(&self, request: Request<Streaming<BidiRequest>>) -> Result<Response<Self::BidiStream>, Status> {
        let mut requests = request.into_inner();
        let answers = async_stream::try_stream! {
            let mut index = 0;
            while let Some(request) = requests.next().await {
                let request = request?;
                pause(request.delay_ms).await;
                fail(request.fail_code)?;
                yield BidiResponse { text: request.text, index };
                index += 1;
            }
        };
        Ok(Response::new(Box::pin(answers)))
    }
}

async fn pause(delay_ms: i32) {
    if delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(delay_ms as u64)).await;
    }
}

fn fail(code: i32) -> Result<(), Status> {
    if code == 0 {
        return Ok(());
    }
    let mut metadata = MetadataMap::new();
    metadata.insert("x-echo-error", "yes".parse().expect("it is ASCII"));
    Err(Status::with_metadata(Code::from(code), "asked to fail", metadata))
}
