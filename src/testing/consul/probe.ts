// Performs one HTTP, TCP or gRPC check for the embedded agent, for real, over the network. Keeps no connection.

import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/grpc/health/v1/health_pb.ts";
import { formatHostPort, parseHostPort } from "../../core/host-port.ts";
import type { CheckSettings } from "./definitions.ts";
import type { Probe, ProbeResult } from "./probe-driver.ts";

/** The probe of the embedded agent. */
export const networkProbe: Probe = async (settings, signal) => {
  try {
    if (settings.GRPC !== "") return await probeGrpc(settings, signal);
    return settings.HTTP === "" ? await probeTcp(settings.TCP, signal) : await probeHttp(settings, signal);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { status: "critical", output: signal.aborted ? "context deadline exceeded" : text };
  }
};

const maxBodyBytes = 4096;
const maxRedirects = 10;

async function probeHttp(settings: CheckSettings, signal: AbortSignal): Promise<ProbeResult> {
  const method = settings.Method === "" ? "GET" : settings.Method;
  let url = new URL(settings.HTTP);
  let answer = await requestOnce(url, method, settings, signal);
  for (let hops = 0; answer.location !== undefined && hops < maxRedirects; hops++) {
    url = new URL(answer.location, url);
    // As Go's client: 307 and 308 keep the method, the others become GET.
    const next = answer.statusCode === 307 || answer.statusCode === 308 || method === "HEAD" ? method : "GET";
    answer = await requestOnce(url, next, settings, signal);
  }
  const output = `HTTP ${method} ${settings.HTTP}: ${answer.statusCode} ${answer.statusText} Output: ${answer.body}`;
  if (answer.statusCode >= 200 && answer.statusCode < 300) return { status: "passing", output };
  return { status: answer.statusCode === 429 ? "warning" : "critical", output };
}

interface HttpAnswer {
  readonly statusCode: number;
  readonly statusText: string;
  readonly body: string;
  /** Where it redirects to, if it does. */
  readonly location: string | undefined;
}

function requestOnce(url: URL, method: string, settings: CheckSettings, signal: AbortSignal): Promise<HttpAnswer> {
  const headers = new Map<string, string | readonly string[]>([
    ["user-agent", "Consul Health Check"],
    ["accept", "text/plain, text/*, */*"],
  ]);
  for (const [name, values] of Object.entries(settings.Header ?? {})) headers.set(name.toLowerCase(), values ?? []);
  const options = {
    method,
    headers: Object.fromEntries(
      [...headers].map(([name, value]) => [name, typeof value === "string" ? value : [...value]]),
    ),
    signal,
    agent: false as const,
    ...(settings.TLSSkipVerify ? { rejectUnauthorized: false } : {}),
    ...(settings.TLSServerName === "" ? {} : { servername: settings.TLSServerName }),
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const statusCode = response.statusCode ?? 0;
        resolve({
          statusCode,
          statusText: response.statusMessage ?? "",
          body: Buffer.concat(chunks).subarray(0, maxBodyBytes).toString(),
          location: statusCode >= 300 && statusCode < 400 ? response.headers.location : undefined,
        });
      });
    });
    request.on("error", reject);
    request.end(settings.Body === "" ? undefined : settings.Body);
  });
}

function probeTcp(address: string, signal: AbortSignal): Promise<ProbeResult> {
  const { host, port } = parseHostPort(address);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const onAbort = () => socket.destroy(new Error("aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => resolve({ status: "passing", output: `TCP connect ${address}: Success` }));
    socket.once("connect", () => socket.destroy());
    socket.once("error", (error) => reject(new Error(`dial tcp ${address}: ${error.message}`)));
    socket.once("close", () => signal.removeEventListener("abort", onAbort));
  });
}

async function probeGrpc(settings: CheckSettings, signal: AbortSignal): Promise<ProbeResult> {
  // "host:port" asks for the server, "host:port/service" for one service.
  const slash = settings.GRPC.indexOf("/");
  const target = slash === -1 ? settings.GRPC : settings.GRPC.slice(0, slash);
  const service = slash === -1 ? "" : settings.GRPC.slice(slash + 1);
  const { host, port } = parseHostPort(target);
  const baseUrl = `${settings.GRPCUseTLS ? "https" : "http"}://${formatHostPort(host, port)}`;
  const nodeOptions = {
    ...(settings.TLSSkipVerify ? { rejectUnauthorized: false } : {}),
    ...(settings.TLSServerName === "" ? {} : { servername: settings.TLSServerName }),
  };
  const sessionManager = new Http2SessionManager(baseUrl, {}, nodeOptions);
  try {
    const client = createClient(Health, createGrpcTransport({ baseUrl, sessionManager }));
    const { status } = await client.check({ service }, { signal });
    if (status === HealthCheckResponse_ServingStatus.SERVING) {
      return { status: "passing", output: `gRPC check ${settings.GRPC}: success` };
    }
    const [name = status] =
      Object.entries(HealthCheckResponse_ServingStatus).find(([, value]) => value === status) ?? [];
    return { status: "critical", output: `gRPC check ${settings.GRPC}: gRPC service status: ${name}` };
  } finally {
    sessionManager.abort();
  }
}
