// Whose HTTP/2 a server of ours speaks: suites that touch it run over each.

/** The values of `serve({ http2 })`. */
export const http2Kinds: readonly ("lictor" | "node")[] = ["lictor", "node"];
