import { mkdtempSync, writeFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { connect } from "node:tls";
import { createAuthority } from "../support/authority.ts";
import { createTlsFront } from "../../src/server/tls-front.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
const root = createAuthority("root");
const mid = root.issueAuthority("mid");
const pair = mid.issue({ name: "s", altNames: ["DNS:localhost", "IP:127.0.0.1"] });
const dir = mkdtempSync(join(tmpdir(), "r2-"));
const p = (n: string) => join(dir, n);
writeFileSync(p("crt"), pair.cert + mid.ca);
writeFileSync(p("key"), pair.key);
writeFileSync(p("ca"), root.ca + mid.ca);
process.on("uncaughtException", (e) => console.log("UNCAUGHT", String(e)));
const clock = createManualClock(); const logger = createRecordingLogger();
const front = createTlsFront({ certFile: p("crt"), keyFile: p("key"), caFile: p("ca"), requestClientCert: true }, 2000, logger, (s) => { s.on("error", () => {}); s.end("x"); }, clock);
await new Promise<void>((r) => front.listen(0, "127.0.0.1", () => r()));
const port = (front.address() as any).port;
const shake = () => new Promise<string>((resolve) => {
  const s = connect({ port, host: "127.0.0.1", ca: root.ca });
  let out = "closed"; s.on("error", (e) => { out = String(e); }); s.once("secureConnect", () => { out = "ok"; }); s.resume(); s.on("close", () => resolve(out));
});
console.log("first", await shake());
const report = async (what: string) => { await clock.advance(1000); const a = await shake(); await clock.advance(1000); const b = await shake(); await clock.advance(1000); const c = await shake(); console.log(what, a, b, c, JSON.stringify(logger.lines.filter(l => l.level !== "debug").map((l) => l.level + ":" + l.message + " " + String(l.fields.error ?? "")))); logger.lines.length = 0; };
for (const cut of [mid.ca.length / 2, mid.ca.length - 5, 40, 10]) {
  writeFileSync(p("crt"), pair.cert + mid.ca.slice(0, cut)); await report("half intermediate " + cut);
  writeFileSync(p("crt"), pair.cert + mid.ca); await report("whole");
}
writeFileSync(p("ca"), root.ca + mid.ca.slice(0, mid.ca.length / 2)); await report("half ca");
writeFileSync(p("ca"), root.ca + mid.ca); await report("whole ca");
writeFileSync(p("crt"), pair.cert + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"); await report("junk intermediate");
front.close(); rmSync(dir, { recursive: true });
