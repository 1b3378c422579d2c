// The messages of test/proto/lictor/test/v1/echo.proto, written by hand. Fields that no program here reads are left out.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct UnaryRequest {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub delay_ms: i32,
    #[prost(int32, tag = "4")]
    pub fail_code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct UnaryResponse {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ServerStreamRequest {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(int32, tag = "2")]
    pub count: i32,
    #[prost(int32, tag = "3")]
    pub delay_ms: i32,
    #[prost(int32, tag = "4")]
    pub fail_code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ServerStreamResponse {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(int32, tag = "2")]
    pub index: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClientStreamRequest {
    #[prost(string, tag = "1")]
    pub text: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClientStreamResponse {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(int32, tag = "2")]
    pub count: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct BidiRequest {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(int32, tag = "2")]
    pub delay_ms: i32,
    #[prost(int32, tag = "3")]
    pub fail_code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct BidiResponse {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(int32, tag = "2")]
    pub index: i32,
}
