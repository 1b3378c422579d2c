use crate::bench::bench_service_client::BenchServiceClient;
use crate::bench::{ChatRequest, DownloadRequest, EchoRequest};
use crate::hello::HelloRequest;
use crate::hello::hello_service_client::HelloServiceClient;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);
/// Messages of a chat that may be under way unanswered; the same in every program.
const CHAT_WINDOW: usize = 256;

type Held = (mpsc::UnboundedSender<ChatRequest>, Streaming<crate::bench::ChatResponse>);

/// Makes the calls, each on the next of the channels: tonic's own balancing takes the less loaded of two instead.
pub struct Caller {
    channels: Vec<Channel>,
    next: Cell<usize>,
    held: RefCell<Vec<Held>>,
    /// Connections that only wait.
    idle: RefCell<Vec<Channel>>,
}

impl Caller {
    pub fn new(targets: &[String]) -> Result<Self, Box<dyn std::error::Error>> {
        let channels = targets.iter().map(|target| lazy(target)).collect::<Result<_, _>>()?;
        Ok(Self { channels, next: Cell::new(0), held: RefCell::default(), idle: RefCell::default() })
    }

    fn channel(&self) -> Channel {
        let index = self.next.get();
        self.next.set((index + 1) % self.channels.len());
        self.channels[index].clone()
    }

    fn bench(&self) -> BenchServiceClient<Channel> {
        BenchServiceClient::new(self.channel())
    }

    pub async fn unary(&self, index: usize) -> Outcome {
        say_hello(self.channel(), index).await
    }

    pub async fn echo(&self, bytes: usize) -> Outcome {
        let payload = payload_of(bytes);
        let answer = self.bench().echo(with_extras(EchoRequest { payload }, CALL_TIMEOUT)).await?;
        check_payload(&answer.get_ref().payload, bytes)
    }

    pub async fn download(&self, messages: usize, bytes: usize) -> Outcome {
        let request = DownloadRequest { count: messages as i32, bytes: bytes as i32 };
        let mut stream = self.bench().download(with_extras(request, STREAM_TIMEOUT)).await?.into_inner();
        let mut read = 0;
        while let Some(message) = stream.message().await? {
            if message.payload.len() != bytes {
                return Err("wrong answer to Download".into());
            }
            read += 1;
        }
        if read == messages { Ok(()) } else { Err("wrong answer to Download".into()) }
    }

    pub async fn chat(&self, messages: usize, bytes: usize) -> Outcome {
        let window = Arc::new(Semaphore::new(CHAT_WINDOW));
        let mut answers = self
            .bench()
            .chat(with_extras(requests(window.clone(), messages, bytes), STREAM_TIMEOUT))
            .await?
            .into_inner();
        for _ in 0..messages {
            let answer = answers.message().await?.ok_or("wrong answer to Chat")?;
            check_payload(&answer.payload, bytes)?;
            window.add_permits(1);
        }
        if answers.message().await?.is_some() { Err("wrong answer to Chat".into()) } else { Ok(()) }
    }

    /// Opens one more stream, exchanges a message on it and leaves it open.
    pub async fn hold(&self) -> Outcome {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(ChatRequest { payload: payload_of(16) })?;
        let mut answers = self.bench().chat(UnboundedReceiverStream::new(receiver)).await?.into_inner();
        answers.message().await?.ok_or("wrong answer to Chat")?;
        self.held.borrow_mut().push((sender, answers));
        Ok(())
    }

    pub async fn release(&self) {
        for (sender, mut answers) in self.held.take() {
            drop(sender);
            let _ = answers.message().await;
        }
    }

    /// Opens one connection to each target and leaves them open.
    pub async fn connect(&self, targets: &[String]) -> Outcome {
        for (index, target) in targets.iter().enumerate() {
            let channel = lazy(target)?;
            say_hello(channel.clone(), index).await?;
            self.idle.borrow_mut().push(channel);
        }
        Ok(())
    }
}

fn lazy(target: &str) -> Result<Channel, Box<dyn std::error::Error>> {
    Ok(Endpoint::from_shared(format!("http://{target}"))?.connect_lazy())
}

fn with_extras<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request.metadata_mut().insert("x-bench", "lictor".parse().expect("ASCII"));
    request
}

async fn say_hello(channel: Channel, index: usize) -> Outcome {
    let num1 = index as i32;
    let request = HelloRequest { name: "bench".into(), num1, num2: 7 };
    let answer = HelloServiceClient::new(channel).say_hello(with_extras(request, CALL_TIMEOUT)).await?;
    let answer = answer.get_ref();
    if answer.result == num1.wrapping_add(7) && answer.message.starts_with("Hello! bench!This is Server: ") {
        Ok(())
    } else {
        Err("wrong answer to SayHello".into())
    }
}

fn requests(window: Arc<Semaphore>, messages: usize, bytes: usize) -> impl Stream<Item = ChatRequest> {
    let payload = payload_of(bytes);
    tokio_stream::iter(0..messages).then(move |_| {
        let (window, payload) = (window.clone(), payload.clone());
        async move {
            window.acquire().await.expect("never closed").forget();
            ChatRequest { payload }
        }
    })
}

/// As many bytes, always the same ones.
fn payload_of(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| index as u8).collect()
}

fn check_payload(payload: &[u8], bytes: usize) -> Outcome {
    if payload.len() == bytes && payload.last().is_none_or(|last| *last == (bytes - 1) as u8) {
        Ok(())
    } else {
        Err("wrong answer".into())
    }
}
