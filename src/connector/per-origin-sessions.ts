// Lets a connect-node transport over HTTP/2 follow the discovery interceptor: one of connect-node's sessions for each origin.

import { Http2SessionManager } from "@connectrpc/connect-node";

/** Sessions by origin, opened as they are first needed. */
export interface PerOriginSessions {
  /** Goes into `createNodeHttpClient({ httpVersion: "2", sessionProvider })`. */
  readonly sessionProvider: (url: string) => Http2SessionManager;
  /** Closes every session; calls in flight fail. Idempotent. */
  close(): Promise<void>;
  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Creates an empty set of sessions. A session that stands idle for 15 minutes is closed by connect-node and opened anew on demand. */
export function createPerOriginSessions(): PerOriginSessions {
  const sessions = new Map<string, Http2SessionManager>();
  const close = async (): Promise<void> => {
    for (const session of sessions.values()) session.abort();
    sessions.clear();
  };
  return {
    sessionProvider(url) {
      const { origin } = new URL(url);
      let session = sessions.get(origin);
      if (session === undefined) {
        session = new Http2SessionManager(origin);
        sessions.set(origin, session);
      }
      return session;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
