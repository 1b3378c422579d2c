import { createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import { createClient } from "@connectrpc/connect";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { serve } from "../../src/server/serve.ts";
import { endpoint } from "../support/endpoints.ts";
const s = serve({ routes: (r) => { r.service(EchoService, { unary: (q) => ({ text: q.text }) }); } });
const { url } = await s.ready;
let ready: () => void; const p = new Promise<void>((r) => { ready = r; });
const c = createNodeHttp2Connector()(endpoint("a", { url }), { onState: (s) => { console.log(s.type); if (s.type === "ready") ready(); } });
c.connect(); await p;
const cl = createClient(EchoService, c.transport);
try { await cl.unary({ payload: new Uint8Array(6_000_000) }); } catch (e) { console.log(String(e)); }
{ const a = new AbortController(); const q = cl.unary({ payload: new Uint8Array(3_000_000) }, { signal: a.signal }); setTimeout(() => a.abort(), 3); try { await q; console.log("done"); } catch (e) { console.log(String(e)); } }
const t = performance.now(); const d = c.drain(); const timer = setTimeout(() => { console.log("STUCK", (c as any)); c.close(); }, 3000); await d; clearTimeout(timer); console.log("drained", Math.round(performance.now() - t));
await s.close();
