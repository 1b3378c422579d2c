import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type RequestListener, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inspect } from "node:util";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { type ConsulFromEnvOptions, consulFromEnv, type Environment } from "../../src/runtime/consul-from-env.ts";
import { createAuthority } from "../support/authority.ts";
import { loopbackNames, makeCertificates } from "../support/certificates.ts";
import { pause, until } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const folder = mkdtempSync(join(tmpdir(), "lictor-env-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a file and returns its path. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const addressOf = (env: Environment, options?: ConsulFromEnvOptions): string =>
  createConsulClient(consulFromEnv(env, options)).address;

/** What a token function gives now. */
function tokenOf(env: Environment, options?: ConsulFromEnvOptions): unknown {
  const { token } = consulFromEnv(env, options);
  return typeof token === "function" ? token() : assert.fail("no function");
}

test("consulFromEnv() reads several agents", () => {
  assert.equal(addressOf({ CONSUL_HTTP_ADDR: "a:1, https://b:2,[::1]:3" }), "http://a:1, https://b:2, http://[::1]:3");
  assert.equal(addressOf({ CONSUL_HTTP_ADDR: "a:1,b:2", CONSUL_HTTP_SSL: "1" }), "https://a:1, https://b:2");
  assert.equal(addressOf({ CONSUL_HTTP_ADDR: "a:1" }, { address: ["b:2", "c:3"] }), "http://b:2, http://c:3");
  assert.equal(addressOf({}, { address: "b:2,c:3" }), "http://b:2, http://c:3");
  assert.deepEqual(consulFromEnv({ CONSUL_HTTP_ADDR: "unix:///run/a,b" }).address, "unix:///run/a,b");
  for (const CONSUL_HTTP_ADDR of ["a:1,", ",a:1", "a:1,,b:2", "a:1,unix:///x", "a:1,ftp://b"]) {
    assert.throws(() => consulFromEnv({ CONSUL_HTTP_ADDR }), /TypeError.*CONSUL_HTTP_ADDR/, CONSUL_HTTP_ADDR);
  }
});

test("consulFromEnv() reads the token's file anew, and keeps the last token where it cannot", () => {
  const logger = createRecordingLogger();
  const path = file("renewed", "first\n");
  const { token } = consulFromEnv({ CONSUL_HTTP_TOKEN_FILE: path }, { logger });
  assert.ok(typeof token === "function");
  assert.equal(token(), "first");
  writeFileSync(path, "second\n");
  assert.equal(token(), "second");
  // As Vault's agent and Kubernetes replace one: by a rename, over a symbolic link.
  rmSync(path);
  symlinkSync(file("target", "third"), path);
  assert.equal(token(), "third");
  for (const spoil of [() => writeFileSync(path, " \n"), () => writeFileSync(path, "two words"), () => rmSync(path)]) {
    spoil();
    for (let count = 0; count < 3; count++) assert.equal(token(), "third");
  }
  // Told once for each way in which it was of no use.
  assert.equal(logger.count("Cannot read the Consul token anew"), 3);
  file("renewed", "fourth");
  assert.equal(token(), "fourth");
  assert.doesNotMatch(inspect(logger.lines, { depth: 9 }), /first|second|third|two words|fourth/);
});

test("consulFromEnv() gives nothing when nothing is set", () => {
  assert.deepEqual(consulFromEnv({}), {});
  const empty = ["ADDR", "TOKEN", "TOKEN_FILE", "AUTH", "SSL", "SSL_VERIFY"].map((name) => [`CONSUL_HTTP_${name}`, ""]);
  assert.deepEqual(consulFromEnv(Object.fromEntries(empty)), {});
});

test("consulFromEnv() reads every form of an address", () => {
  const forms: [env: Environment, address: string][] = [
    [{ CONSUL_HTTP_ADDR: "10.0.0.1:8501" }, "http://10.0.0.1:8501"],
    [{ CONSUL_HTTP_ADDR: "[::1]:8501" }, "http://[::1]:8501"],
    [{ CONSUL_HTTP_ADDR: "http://consul.example" }, "http://consul.example"],
    [{ CONSUL_HTTP_ADDR: "https://consul.example/prefix" }, "https://consul.example/prefix"],
    [{ CONSUL_HTTP_ADDR: "unix:///run/consul.sock" }, "unix:///run/consul.sock"],
    [{ CONSUL_HTTP_SSL: "true" }, "https://127.0.0.1:8500"],
    [{ CONSUL_HTTP_SSL: "1", CONSUL_HTTP_ADDR: "10.0.0.1:8501" }, "https://10.0.0.1:8501"],
    [{ CONSUL_HTTP_SSL: "T", CONSUL_HTTP_ADDR: "http://10.0.0.1:8501" }, "https://10.0.0.1:8501"],
    [{ CONSUL_HTTP_SSL: "false", CONSUL_HTTP_ADDR: "https://10.0.0.1:8501" }, "https://10.0.0.1:8501"],
  ];
  for (const [env, address] of forms) assert.equal(addressOf(env), address, JSON.stringify(env));
});

test("consulFromEnv() takes the file's token before the variable's, without its line end", () => {
  const path = file("token", "  from-file\n");
  assert.equal(consulFromEnv({ CONSUL_HTTP_TOKEN: "from-env" }).token, "from-env");
  assert.equal(tokenOf({ CONSUL_HTTP_TOKEN: "from-env", CONSUL_HTTP_TOKEN_FILE: path }), "from-file");
});

test("consulFromEnv() reads credentials, namespace and partition", () => {
  const env = { CONSUL_HTTP_AUTH: "me:pass:word", CONSUL_NAMESPACE: "team", CONSUL_PARTITION: "part" };
  assert.deepEqual(consulFromEnv(env), {
    basicAuth: { username: "me", password: "pass:word" },
    namespace: "team",
    partition: "part",
  });
  assert.deepEqual(consulFromEnv({ CONSUL_HTTP_AUTH: "me" }).basicAuth, { username: "me", password: "" });
});

test("consulFromEnv() lets options win over the environment", () => {
  const env = {
    CONSUL_HTTP_ADDR: "10.0.0.1:1",
    CONSUL_HTTP_TOKEN_FILE: join(folder, "missing"),
    CONSUL_HTTP_AUTH: "env:env",
    CONSUL_NAMESPACE: "env",
  };
  const basicAuth = { username: "flag", password: "flag" };
  const options = {
    address: "10.0.0.2:2",
    token: "flag",
    basicAuth,
    namespace: "flag",
    timeoutMs: 5,
    datacenter: "dc2",
  };
  assert.deepEqual(consulFromEnv(env, options), options);
  assert.equal(tokenOf(env, { ...options, tokenFile: file("flag", "flag-file") }), "flag-file");
  assert.equal(addressOf({ CONSUL_HTTP_ADDR: "unix:///x" }, { address: "10.0.0.2:2" }), "http://10.0.0.2:2");
  const fetch = async () => new Response();
  assert.equal(consulFromEnv({ CONSUL_HTTP_ADDR: "unix:///x" }, { fetch }).fetch, fetch);
});

test("consulFromEnv() brings a fetch of its own only when the runtime's cannot do it", () => {
  const { ca } = makeCertificates();
  const CONSUL_CACERT = file("ca.pem", ca);
  assert.equal(consulFromEnv({ CONSUL_HTTP_ADDR: "https://consul.example" }).fetch, undefined);
  assert.equal(consulFromEnv({ CONSUL_HTTP_ADDR: "http://consul.example", CONSUL_CACERT }).fetch, undefined);
  const https = "https://consul.example";
  for (const env of [
    { CONSUL_HTTP_ADDR: https, CONSUL_CACERT },
    { CONSUL_HTTP_ADDR: https, CONSUL_HTTP_SSL_VERIFY: "false" },
    { CONSUL_HTTP_ADDR: https, CONSUL_TLS_SERVER_NAME: "server.dc1.consul" },
    { CONSUL_HTTP_SSL: "true", CONSUL_CACERT },
    { CONSUL_HTTP_ADDR: "unix:///run/consul.sock" },
  ]) {
    assert.equal(typeof consulFromEnv(env).fetch, "function", JSON.stringify(env));
  }
});

test("consulFromEnv() throws TypeError that names the variable when a value cannot be used", () => {
  const missing = join(folder, "missing");
  const emptyFolder = join(folder, "empty");
  mkdirSync(emptyFolder);
  const pem = file("some.pem", makeCertificates().ca);
  const bad: [env: Environment, name: string][] = [
    [{ CONSUL_HTTP_ADDR: "ftp://x" }, "CONSUL_HTTP_ADDR"],
    [{ CONSUL_HTTP_ADDR: "a b" }, "CONSUL_HTTP_ADDR"],
    [{ CONSUL_HTTP_SSL: "maybe" }, "CONSUL_HTTP_SSL"],
    [{ CONSUL_HTTP_SSL: "yes" }, "CONSUL_HTTP_SSL"],
    [{ CONSUL_HTTP_SSL: "true", CONSUL_HTTP_ADDR: "unix:///x" }, "CONSUL_HTTP_SSL"],
    [{ CONSUL_HTTP_SSL_VERIFY: "no" }, "CONSUL_HTTP_SSL_VERIFY"],
    [{ CONSUL_HTTP_TOKEN: "two words" }, "CONSUL_HTTP_TOKEN"],
    [{ CONSUL_HTTP_TOKEN_FILE: missing }, "CONSUL_HTTP_TOKEN_FILE"],
    [{ CONSUL_HTTP_TOKEN_FILE: file("blank", " \n") }, "CONSUL_HTTP_TOKEN_FILE"],
    [{ CONSUL_HTTP_TOKEN_FILE: file("words", "two words") }, "CONSUL_HTTP_TOKEN_FILE"],
    [{ CONSUL_CACERT: missing }, "CONSUL_CACERT"],
    [{ CONSUL_CACERT: file("not.pem", "hello") }, "CONSUL_CACERT"],
    [{ CONSUL_CAPATH: missing }, "CONSUL_CAPATH"],
    [{ CONSUL_CAPATH: emptyFolder }, "CONSUL_CAPATH"],
    [{ CONSUL_CLIENT_CERT: pem }, "CONSUL_CLIENT_CERT"],
    [{ CONSUL_CLIENT_KEY: pem }, "CONSUL_CLIENT_KEY"],
    [{ CONSUL_CLIENT_CERT: missing, CONSUL_CLIENT_KEY: pem }, "CONSUL_CLIENT_CERT"],
    [{ CONSUL_CLIENT_CERT: pem, CONSUL_CLIENT_KEY: missing }, "CONSUL_CLIENT_KEY"],
  ];
  for (const [env, name] of bad) {
    assert.throws(
      () => consulFromEnv(env),
      (error) => error instanceof TypeError && new RegExp(`\\b${name}\\b`).test(error.message),
      JSON.stringify(env),
    );
  }
  assert.throws(() => consulFromEnv({}, { tokenFile: missing }), /the token file/);
});

test("consulFromEnv() repeats no secret when it refuses one", () => {
  const secret = "pa55 word";
  for (const env of [
    { CONSUL_HTTP_TOKEN: secret },
    { CONSUL_HTTP_TOKEN_FILE: file("secret", secret) },
    { CONSUL_HTTP_ADDR: `ftp://me:${secret}@x` },
  ]) {
    assert.throws(
      () => consulFromEnv(env),
      (error) => error instanceof TypeError && !`${error.message}${error.cause}`.includes(secret),
    );
  }
});

/** Listens where `listen` says, and closes with all its connections. */
async function listening(
  server: NetServer & Partial<Pick<Server, "closeAllConnections">>,
  where: number | string,
): Promise<AsyncDisposable & { port: number }> {
  await new Promise<void>((resolve) => {
    if (typeof where === "number") server.listen(where, "127.0.0.1", resolve);
    else server.listen(where, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "string" || address === null ? 0 : (address satisfies AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections?.();
      await closed;
    },
  };
}

const leader: RequestListener = (_, response) => response.end('"10.0.0.1:8300"');

test("a client from the environment speaks over a unix socket", async () => {
  const path = join(folder, "agent.sock");
  await using _server = await listening(createHttpServer(leader), path);
  const client = createConsulClient(consulFromEnv({ CONSUL_HTTP_ADDR: `unix://${path}`, CONSUL_HTTP_TOKEN: "t0ken" }));
  assert.equal(await client.status.leader(), "10.0.0.1:8300");
});

test("a client from the environment trusts the named authority and shows its certificate", async () => {
  const { ca, server, client, stranger } = makeCertificates();
  const tls = { cert: server.cert, key: server.key, ca, requestCert: true, rejectUnauthorized: true };
  await using listener = await listening(createHttpsServer(tls, leader), 0);
  const trusted = join(folder, "trusted");
  mkdirSync(join(trusted, "sub"), { recursive: true });
  writeFileSync(join(trusted, "sub", "ca.crt"), ca);
  writeFileSync(join(trusted, "a.crt"), stranger.cert);
  const secured: Environment = {
    CONSUL_HTTP_ADDR: `https://127.0.0.1:${listener.port}`,
    CONSUL_CACERT: file("authority.pem", ca),
    CONSUL_CLIENT_CERT: file("client.pem", client.cert),
    CONSUL_CLIENT_KEY: file("client.key", client.key),
  };
  const ask = (env: Environment) => createConsulClient(consulFromEnv({ ...secured, ...env })).status.leader();
  assert.equal(await ask({}), "10.0.0.1:8300");
  assert.equal(await ask({ CONSUL_CACERT: "", CONSUL_CAPATH: trusted }), "10.0.0.1:8300");
  assert.equal(await ask({ CONSUL_TLS_SERVER_NAME: "localhost" }), "10.0.0.1:8300");
  assert.equal(await ask({ CONSUL_CACERT: "", CONSUL_HTTP_SSL_VERIFY: "false" }), "10.0.0.1:8300");
  await assert.rejects(ask({ CONSUL_TLS_SERVER_NAME: "elsewhere.example" }), { name: "ConsulError", code: "network" });
  await assert.rejects(ask({ CONSUL_CACERT: "" }), { name: "ConsulError", code: "network" });
  await assert.rejects(ask({ CONSUL_CLIENT_CERT: "", CONSUL_CLIENT_KEY: "" }), { code: "network" });
});

test("a client from the environment takes certificates that were replaced, and finishes what is under way", {
  timeout: 30_000,
}, async () => {
  const { ca, server, client, stranger } = makeCertificates();
  const renewed = createAuthority("lictor test renewed ca");
  const renewedClient = renewed.issue({ name: "renewed client", usage: "clientAuth" });
  const renewedServer = renewed.issue({ name: "renewed server", altNames: loopbackNames, usage: "serverAuth" });
  const held: (() => void)[] = [];
  const requested: string[] = [];
  const answer: RequestListener = (request, response) => {
    requested.push(request.url ?? "");
    const end = () => response.end('"10.0.0.1:8300"');
    if (request.url?.includes("hold") === true) held.push(end);
    else end();
  };
  const strict = { requestCert: true, rejectUnauthorized: true };
  await using before = await listening(createHttpsServer({ ...server, ca, ...strict }, answer), 0);
  await using renewedAgent = await listening(
    createHttpsServer({ ...renewedServer, ca: renewed.ca, ...strict }, answer),
    0,
  );
  // One address for both, as of an agent that was renewed while its clients were running.
  let target = before.port;
  const sockets: Socket[] = [];
  const front = createServer((socket) => {
    sockets.push(socket);
    const upstream = connect(target, "127.0.0.1");
    socket.pipe(upstream).pipe(socket);
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await using listener = await listening(front, 0);
  const logger = createRecordingLogger();
  const env: Environment = {
    CONSUL_HTTP_ADDR: `https://127.0.0.1:${listener.port}`,
    CONSUL_CACERT: file("turning-ca.pem", ca),
    CONSUL_CLIENT_CERT: file("turning.pem", client.cert),
    CONSUL_CLIENT_KEY: file("turning.key", client.key),
  };
  const consul = createConsulClient(consulFromEnv(env, { logger }));
  await consul.status.leader();
  const waiting = consul.kv.get("hold").then(
    () => "answered",
    (error: unknown) => String(error),
  );
  await until(() => held.length === 1);
  target = renewedAgent.port;
  // A key that is not the certificate's, and an authority that is none: the last good ones stay.
  file("turning.pem", stranger.cert);
  file("turning-ca.pem", renewed.ca);
  const trouble = "Cannot use Consul's certificates as they are now";
  await until(async () => {
    await consul.status.leader().catch(() => {});
    await pause(200);
    return logger.count(trouble) === 1;
  });
  assert.equal(logger.count("certificates were replaced"), 0);
  file("turning.pem", renewedClient.cert);
  file("turning.key", renewedClient.key);
  await until(async () => {
    await pause(200);
    return (await consul.status.leader()) === "10.0.0.1:8300" && logger.count("certificates were replaced") === 1;
  });
  assert.equal(held.length, 1);
  held[0]?.();
  // Its body is no list of keys; it came over the connection of before.
  assert.match(await waiting, /answered 200/);
  assert.doesNotMatch(inspect(logger.lines, { depth: 9 }), /PRIVATE KEY/);
  // Kept alive, they would hold the port.
  for (const socket of sockets) socket.destroy();
});
