import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import type { ClientTlsOptions } from "../../src/connector/client-tls.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import type { Connector } from "../../src/transport/connector.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createAuthority } from "../support/authority.ts";
import { loopbackNames } from "../support/certificates.ts";
import { closeWhatIsLeft } from "../support/close-what-is-left.ts";
import { type ConnectorKind, connectorKinds } from "../support/connector-kinds.ts";
import { endpoint } from "../support/endpoints.ts";
import { type H2Peer, startH2Peer, startTcpPeer } from "../support/h2-peer.ts";
import { createMountedFolder } from "../support/mounted-folder.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const { ca, issue } = createAuthority("identities");
const idOf = (service: string): string => `spiffe://example.test/ns/default/svc/${service}`;
/** Of Vault, cert-manager or SPIRE: a service's name, and no host's. */
const billing = issue({ name: "billing", altNames: [`URI:${idOf("billing")}`, "DNS:billing.test"] });
/** Of a server of another service, which the same authority signed. */
const search = issue({ name: "search", altNames: [`URI:${idOf("search")}`, "DNS:search.test", ...loopbackNames] });
const twoIds = issue({ name: "both", altNames: [`URI:${idOf("billing")}`, `URI:${idOf("search")}`, ...loopbackNames] });
const nameless = issue({ name: "nameless" });

const { keeping } = closeWhatIsLeft();
/** A test's own, closed after it. */
const startOwnPeer = keeping(startH2Peer);
const startOwnTcpPeer = keeping(startTcpPeer);

/** `ready`, or why the connection was closed before. */
function outcome(kind: ConnectorKind, url: string, tls: ClientTlsOptions, fields: Partial<Endpoint> = {}) {
  return outcomeOf(kind.create({ tls }), url, fields);
}

function outcomeOf(connector: Connector, url: string, fields: Partial<Endpoint> = {}) {
  return new Promise<string>((resolve) => {
    let isReady = false;
    const connection = connector(endpoint("peer", { url, ...fields }), {
      onState(state) {
        if (state.type === "ready") {
          // Later: Deno 2.9.6 dies where a session of node:http2 is destroyed while it reads.
          setImmediate(() => void connection.close().then(() => resolve("ready")));
          isReady = true;
        } else if (state.type === "closed" && !isReady)
          resolve(state.reason instanceof Error ? state.reason.message : "closed");
      },
    });
    connection.connect();
  });
}

for (const kind of connectorKinds) {
  describe(`${kind.name}({ tls })`, () => {
    const peers = new Map<string, H2Peer>();
    const urlOf = (name: string): string => peers.get(name)?.url ?? "";
    before(async () => {
      for (const [name, tls] of Object.entries({ billing, search, twoIds, nameless })) {
        peers.set(name, await startH2Peer({ name, tls }));
      }
    });
    after(async () => {
      for (const peer of peers.values()) await peer.close();
    });

    test("finds a SPIFFE id in the certificate in place of a name", async () => {
      assert.equal(await outcome(kind, urlOf("billing"), { ca, spiffeId: idOf("billing") }), "ready");
      assert.equal(await outcome(kind, urlOf("billing"), { ca, spiffeId: [idOf("x"), idOf("billing")] }), "ready");
    });

    test("refuses another SPIFFE id, more than one, and none, and says what it found", async () => {
      const tls = { ca, spiffeId: idOf("billing") };
      const url = urlOf("search");
      assert.equal(
        await outcome(kind, url, tls),
        `${url} is not "${idOf("billing")}" by its certificate: received "search.test", "localhost", "127.0.0.1", ` +
          `"0:0:0:0:0:0:0:1", "${idOf("search")}"`,
      );
      assert.match(await outcome(kind, urlOf("twoIds"), tls), /is not "spiffe:.*billing" by its certificate: received/);
      assert.match(await outcome(kind, urlOf("nameless"), tls), /by its certificate: received one without names$/);
      assert.match(
        await outcome(kind, url, { ca, spiffeId: [idOf("a"), idOf("b")] }),
        /is not "spiffe:[^"]*\/a" or "spiffe:[^"]*\/b" by its certificate/,
      );
    });

    test("trusts no id of another authority", async () => {
      const impostor = createAuthority("identities").issue({ name: "x", altNames: [`URI:${idOf("billing")}`] });
      const peer = await startOwnPeer({ tls: impostor });
      assert.doesNotMatch(await outcome(kind, peer.url, { ca, spiffeId: idOf("billing") }), /ready|by its certificate/);
      await peer.close();
    });

    test("finds a name in the certificate, the host's or the one that it was told", async () => {
      assert.equal(await outcome(kind, urlOf("search"), { ca }), "ready");
      assert.equal(await outcome(kind, urlOf("search"), { ca, serverName: "search.test" }), "ready");
      const url = urlOf("billing");
      const found = `by its certificate: received "billing.test", "${idOf("billing")}"`;
      assert.equal(await outcome(kind, url, { ca }), `${url} is not "127.0.0.1" ${found}`);
      assert.equal(await outcome(kind, url, { ca, serverName: "search.test" }), `${url} is not "search.test" ${found}`);
    });

    test("finds no name in the subject, and none in a name that holds several in the runtimes' texts", async () => {
      const serverName = "billing.test";
      for (const altNames of [
        [],
        [`URI:${idOf("search")}`],
        ["DNS:evil.test, DNS:billing.test"],
        ["URI:http://evil.test/, DNS:billing.test"],
        ["DNS:evil.test, IP Address:127.0.0.1"],
      ]) {
        const peer = await startOwnPeer({ tls: issue({ name: serverName, altNames }) });
        const because = JSON.stringify(altNames);
        assert.match(await outcome(kind, peer.url, { ca, serverName }), /is not "billing.test" by its cert/, because);
        assert.match(await outcome(kind, peer.url, { ca }), /is not "127.0.0.1" by its certificate/, because);
        await peer.close();
      }
    });

    test("knows names and ids by the endpoint, where it was given functions", async () => {
      const tls: ClientTlsOptions = {
        ca,
        serverName: ({ zone }) => `${zone}.test`,
        spiffeId: ({ zone }) => idOf(zone),
      };
      assert.equal(await outcome(kind, urlOf("billing"), tls, { zone: "billing" }), "ready");
      assert.match(await outcome(kind, urlOf("billing"), tls, { zone: "search" }), /is not "spiffe:.*search"/);
      const named = { ca, serverName: ({ zone }: Endpoint) => `${zone}.test` };
      assert.equal(await outcome(kind, urlOf("billing"), named, { zone: "billing" }), "ready");
    });

    test("closes with what such a function throws, and with what is wrong with its answer", async () => {
      const thrower = (): never => {
        throw new Error("not known");
      };
      assert.equal(await outcome(kind, urlOf("billing"), { ca, spiffeId: thrower }), "not known");
      assert.match(await outcome(kind, urlOf("billing"), { ca, serverName: () => "" }), /"tls.serverName" must be/);
      assert.match(await outcome(kind, urlOf("billing"), { ca, spiffeId: () => "x" }), /"tls.spiffeId" must be/);
    });

    test("never falls back to cleartext: nothing but TLS is said to a peer without it", async () => {
      const said: Buffer[] = [];
      const peer = await startOwnTcpPeer((socket) => {
        socket.on("error", () => {});
        socket.once("data", (bytes: Buffer) => {
          said.push(bytes);
          socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
        });
      });
      const url = peer.url.replace("http:", "https:");
      await using transport = createBalancedTransport({
        resolver: createStaticResolver([url]),
        connector: kind.create({ tls: { ca } }),
      });
      await assert.rejects(createClient(EchoService, transport).unary({}, { timeoutMs: 700 }));
      await transport.close();
      assert.ok(said.length > 0);
      // A handshake record: RFC 8446, section 5.1.
      for (const bytes of said) assert.equal(bytes[0], 22);
      await peer.close();
    });

    test("calls go to the endpoint that is who it should be, and none to the other", async () => {
      const impostor = await startOwnPeer({ name: "impostor", tls: search });
      await using transport = createBalancedTransport({
        resolver: createStaticResolver([urlOf("billing"), impostor.url]),
        connector: kind.create({ tls: { ca, spiffeId: idOf("billing") } }),
      });
      const client = createClient(EchoService, transport);
      const servers = await Promise.all(Array.from({ length: 20 }, () => client.unary({})));
      assert.deepEqual([...new Set(servers.map(({ server }) => server))], ["billing"]);
      assert.equal(impostor.handled, 0);
      await transport.close();
      await impostor.close();
    });

    test("uses what its files hold when it connects, and the last good of them", async () => {
      using folder = createMountedFolder({ "ca.crt": ca });
      const clock = createManualClock();
      const logger = createRecordingLogger();
      const connector = kind.create({ clock, logger, tls: { caFile: folder.pathOf("ca.crt") } });
      const connect = async () => {
        await clock.advance(1000);
        return await outcomeOf(connector, urlOf("search"));
      };
      assert.equal(await connect(), "ready");
      folder.publish({ "ca.crt": createAuthority("another").ca });
      // It is not that a session of before is taken up.
      assert.match(await connect(), /unable to (verify|get)|self.signed|unknown ?(ca|issuer)/i);
      folder.publish({ "ca.crt": ca });
      assert.equal(await connect(), "ready");
      folder.publish({ "ca.crt": "half a cert" });
      assert.equal(await connect(), "ready");
      assert.equal(await connect(), "ready");
      assert.deepEqual(
        logger.lines.map(({ level }) => level),
        ["info", "info", "warn"],
      );
    });

    test("rejects names and ids that no certificate could have", () => {
      for (const [tls, rule] of [
        [{ spiffeId: "billing" }, '"tls.spiffeId" must be like spiffe://example.org/ns/default/svc/billing'],
        [{ spiffeId: ["spiffe://Example.test/x"] }, '"tls.spiffeId" must be like'],
        [{ spiffeId: `${idOf("billing")}/` }, '"tls.spiffeId" must be like'],
        [{ spiffeId: `${idOf("billing")}/../search` }, '"tls.spiffeId" must be like'],
        [
          { credentials: async () => ({ ca }) },
          '"tls.credentials" must return { cert, key, ca }: received none of them',
        ],
        [{ spiffeId: [] }, '"tls.spiffeId" must be like'],
        [{ spiffeId: 5 }, '"tls.spiffeId" must be like'],
        [{ serverName: "" }, '"tls.serverName" must be a name: received ""'],
        [{ serverName: 5 }, '"tls.serverName" must be a name: received 5'],
      ] as const) {
        assert.throws(
          () => kind.create({ tls: tls as unknown as ClientTlsOptions }),
          (error: unknown) => error instanceof TypeError && error.message.includes(rule),
          JSON.stringify(tls),
        );
      }
    });
  });
}
