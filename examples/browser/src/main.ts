// The page: a form, two calls, and what came of them.

import { Code, ConnectError } from "@connectrpc/connect";
import { createCounterClient } from "./counter-client.ts";

const clients = { connect: createCounterClient("connect"), "grpc-web": createCounterClient("grpc-web") };

const form = find("form", HTMLFormElement);
const addButton = find("add", HTMLButtonElement);
const countButton = find("count", HTMLButtonElement);
const cancelButton = find("cancel", HTMLButtonElement);
const counter = find("counter", HTMLElement);
const answers = find("answers", HTMLElement);
const servers = find("servers", HTMLElement);
const age = find("age", HTMLElement);
const tally = new Map<string, number>();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, num1, num2, client, label } = readForm();
  void run(async (signal) => {
    const { message, sum, server } = await client.add({ name, num1, num2 }, { signal });
    tell(`${message} ${num1} + ${num2} = ${sum}, says ${server} by ${label}`);
    record(server);
  });
});

countButton.addEventListener("click", () => {
  const { client, label } = readForm();
  void run(async (signal) => {
    for await (const { number, server } of client.count({ upTo: 100, intervalMs: 250 }, { signal })) {
      counter.textContent = String(number);
      if (number === 1) {
        tell(`${server} counts, by ${label}`);
        record(server);
      }
    }
    tell("It has counted to the end.");
  });
});

/** One call at a time: the buttons wait, but for the one that cancels it. */
async function run(call: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const cancel = () => controller.abort(new ConnectError("you did", Code.Canceled));
  cancelButton.addEventListener("click", cancel);
  setBusy(true);
  counter.textContent = "";
  try {
    await call(controller.signal);
  } catch (error) {
    tell(ConnectError.from(error).message, "error");
  } finally {
    cancelButton.removeEventListener("click", cancel);
    setBusy(false);
  }
}

function readForm() {
  const data = new FormData(form);
  const protocol = data.get("protocol") === "grpc-web" ? "grpc-web" : "connect";
  return {
    name: String(data.get("name")),
    num1: Number(data.get("num1")),
    num2: Number(data.get("num2")),
    client: clients[protocol],
    label: protocol === "connect" ? "Connect" : "gRPC-Web",
  };
}

function setBusy(busy: boolean): void {
  addButton.disabled = busy;
  countButton.disabled = busy;
  cancelButton.disabled = !busy;
}

function tell(text: string, className = ""): void {
  const line = document.createElement("li");
  line.textContent = text;
  line.className = className;
  answers.prepend(line);
}

function record(server: string): void {
  tally.set(server, (tally.get(server) ?? 0) + 1);
  showServers();
}

function showServers(): void {
  const { endpoints, ageMs, stale } = clients.connect.discovery();
  servers.replaceChildren(
    ...endpoints.map(({ url }) => {
      const { host } = new URL(url);
      const line = document.createElement("li");
      const calls = document.createElement("span");
      calls.textContent = `${tally.get(host) ?? 0} calls`;
      line.append(host, calls);
      return line;
    }),
  );
  const seconds = ageMs === undefined ? undefined : Math.round(ageMs / 1000);
  age.textContent =
    seconds === undefined ? "Nothing known yet." : `As of ${seconds} s ago${stale ? ", and stale" : ""}.`;
}

function find<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`Cannot show the page as it has no ${type.name} #${id}`);
  return element;
}

showServers();
setInterval(showServers, 1000);
