// Makes every kind of call to an EchoService and prints one line of JSON that tells what came of them: see echo-calls.ts.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::echo::echo_service_client::EchoServiceClient;
use crate::messages::*;

type Client = EchoServiceClient<Channel>;

pub async fn run(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let client = EchoServiceClient::new(channel.clone());
    let zipping = EchoServiceClient::new(channel)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    println!(
        "{{\"metadata\":{},\"calls\":{},\"payloads\":{},\"zipped\":{},\"failure\":{},\"deadline\":{},\"unknown\":{},\
         \"serverStream\":{},\"failedStream\":{},\"clientStream\":{},\"bidi\":{}}}",
        metadata(client.clone()).await?,
        whole(&client, 500, 10).await,
        whole(&client, 20, 1 << 20).await,
        whole(&zipping, 20, 100_000).await,
        failure(client.clone()).await,
        deadline(client.clone()).await,
        unknown(client.clone()).await,
        server_stream(client.clone()).await?,
        failed_stream(client.clone()).await?,
        client_stream(client.clone()).await?,
        bidi(client.clone()).await?,
    );
    Ok(())
}

async fn metadata(mut client: Client) -> Result<String, Status> {
    let mut request = Request::new(UnaryRequest { text: "metadata".into(), ..Default::default() });
    request.metadata_mut().insert("x-echo", "value".parse().expect("it is ASCII"));
    request.metadata_mut().insert_bin("x-echo-bin", MetadataValue::from_bytes(&[0, 1, 255]));
    let response = client.unary(request).await?;
    let text = response.metadata().get("x-echo-header").and_then(|value| value.to_str().ok()).unwrap_or("none");
    let bytes = response.metadata().get_bin("x-echo-header-bin").and_then(|value| value.to_bytes().ok());
    let hex: String = bytes.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("[\"{text}\",\"{hex}\"]"))
}

/// Calls at once with a payload; how many came back whole.
async fn whole(client: &Client, calls: usize, bytes: usize) -> usize {
    let mut set = JoinSet::new();
    for call in 0..calls {
        let mut client = client.clone();
        set.spawn(async move {
            let payload: Vec<u8> = (0..bytes).map(|at| (at * 7 + call) as u8).collect();
            let request = UnaryRequest { text: format!("call {call}"), payload, ..Default::default() };
            match client.unary(request.clone()).await {
                Ok(response) => {
                    let response = response.into_inner();
                    response.text == request.text && response.payload == request.payload
                }
                Err(status) => {
                    eprintln!("call {call}: {status}");
                    false
                }
            }
        });
    }
    set.join_all().await.into_iter().filter(|whole| *whole).count()
}

async fn failure(mut client: Client) -> String {
    match client.unary(UnaryRequest { fail_code: 9, ..Default::default() }).await {
        Ok(_) => "null".into(),
        Err(status) => {
            let mark = status.metadata().get("x-echo-error").and_then(|value| value.to_str().ok()).unwrap_or("none");
            format!("[{},\"{}\",\"{mark}\"]", status.code() as i32, status.message())
        }
    }
}

async fn deadline(mut client: Client) -> String {
    let mut request = Request::new(UnaryRequest { delay_ms: 5000, ..Default::default() });
    request.set_timeout(Duration::from_millis(100));
    code(client.unary(request).await)
}

async fn unknown(mut client: Client) -> String {
    code(client.missing(UnaryRequest::default()).await)
}

async fn server_stream(mut client: Client) -> Result<i32, Status> {
    let request = ServerStreamRequest { text: "stream".into(), count: 1000, ..Default::default() };
    let mut answers = client.server_stream(request).await?.into_inner();
    let mut count = 0;
    while let Some(answer) = answers.next().await {
        if answer?.index == count {
            count += 1;
        }
    }
    Ok(count)
}

async fn failed_stream(mut client: Client) -> Result<String, Status> {
    let request = ServerStreamRequest { text: "stream".into(), count: 3, fail_code: 9, ..Default::default() };
    let mut answers = client.server_stream(request).await?.into_inner();
    let mut count = 0;
    loop {
        match answers.next().await {
            Some(Ok(_)) => count += 1,
            Some(Err(status)) => return Ok(format!("[{count},{}]", status.code() as i32)),
            None => return Ok(format!("[{count},0]")),
        }
    }
}

async fn client_stream(mut client: Client) -> Result<i32, Status> {
    let requests = tokio_stream::iter((0..1000).map(|index| ClientStreamRequest { text: format!("{index}") }));
    Ok(client.client_stream(requests).await?.into_inner().count)
}

/// Each message waits for the answer to the one before.
async fn bidi(mut client: Client) -> Result<i32, Status> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let ask = |index: i32| BidiRequest { text: format!("{index}"), ..Default::default() };
    sender.send(ask(0)).await.expect("the receiver is there");
    let requests = async_stream::stream! {
        let mut receiver = receiver;
        while let Some(request) = receiver.recv().await {
            yield request;
        }
    };
    let mut answers = client.bidi(requests).await?.into_inner();
    let mut count = 0;
    while let Some(answer) = answers.next().await {
        if answer?.text == count.to_string() {
            count += 1;
        }
        if count == 100 {
            break;
        }
        if sender.send(ask(count)).await.is_err() {
            break;
        }
    }
    drop(sender);
    Ok(count)
}

fn code<T>(result: Result<T, Status>) -> String {
    match result {
        Ok(_) => "0".into(),
        Err(status) => (status.code() as i32).to_string(),
    }
}
