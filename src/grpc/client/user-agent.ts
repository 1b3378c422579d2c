// How calls name this client. The version is that of package.json, which a test compares: this file runs where no file can be read.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#user-agents

export const userAgent = "grpc-typescript-lictor/0.1.0";
