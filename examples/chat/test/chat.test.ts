// Servers as they are run, members in this process, and the terminal client. Against an agent that the test starts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, watchService } from "lictor";
import { startEmbeddedConsul } from "lictor/testing";
import { ownerOf } from "../room-owner.ts";
import { closeAfterEach } from "./closing.ts";
import { enter, type Member } from "./member.ts";
import { type Program, run } from "./program.ts";

const timeout = 60_000;

describe("chat", () => {
  const onEnd = closeAfterEach();

  const joined = (consul: string, room: string, name: string): Member => {
    const member = enter(consul, room, name);
    onEnd(() => member.leave());
    return member;
  };

  const started = (script: string, args: string[], env: Record<string, string>): Program => {
    const program = run(script, args, env);
    onEnd(() => program.kill());
    return program;
  };

  /** A Consul, and servers that are registered there. */
  async function startServers(count: number): Promise<{ consul: string; servers: Program[] }> {
    const agent = await startEmbeddedConsul();
    onEnd(() => agent.close());
    const consul = agent.address;
    const servers = Array.from({ length: count }, () => started("server.ts", [], { CONSUL_HTTP_ADDR: consul }));
    await Promise.all(servers.map((server) => server.until(() => server.lines.length > 0)));
    await untilListed(consul, count);
    return { consul, servers };
  }

  async function enterThree(consul: string): Promise<{ ann: Member; bob: Member; cid: Member }> {
    const [ann, bob, cid] = [joined(consul, "tea", "ann"), joined(consul, "tea", "bob"), joined(consul, "tea", "cid")];
    for (const member of [ann, bob, cid]) await member.until(() => member.present.length === 3);
    return { ann, bob, cid };
  }

  test("members of a room hear each other, whoever talks elsewhere", { timeout }, async () => {
    const { consul } = await startServers(2);
    const { ann, bob, cid } = await enterThree(consul);
    const dan = joined(consul, "coffee", "dan");
    await dan.until(() => dan.present.length === 1);

    ann.room.say("milk?");
    bob.room.say("yes");
    for (const member of [ann, bob, cid]) await member.until(() => member.heard.length === 2);
    assert.deepEqual(cid.heard, ann.heard);
    assert.deepEqual(cid.heard.toSorted(), ["ann: milk?", "bob: yes"]);

    await bob.room.leave();
    await ann.until(() => !ann.present.includes("bob"));
    assert.deepEqual(ann.present.toSorted(), ["ann", "cid"]);
    assert.deepEqual([dan.present, dan.heard], [["dan"], []]);
  });

  test("a server that is told to stop hands its rooms over, and no line is lost", { timeout }, async () => {
    const { consul, servers } = await startServers(2);
    const { ann, bob, cid } = await enterThree(consul);
    const isOwner = ({ lines }: Program) => lines[0] === `ready ${ann.server}`;
    const owner = servers.find(isOwner);
    const other = servers.find((server) => !isOwner(server));
    assert.ok(owner && other);

    // Joining may have taken more than one try.
    for (const { aways } of [ann, bob, cid]) aways.length = 0;
    owner.terminate();
    const said: string[] = [];
    while (ann.aways.length === 0) {
      ann.room.say(`line ${said.length}`);
      said.push(`ann: line ${said.length}`);
      await sleep(20);
    }
    await ann.until(() => ann.heard.length >= said.length);
    assert.deepEqual(ann.heard, said);
    for (const member of [ann, bob, cid]) {
      await member.until(() => member.present.length === 3 && `ready ${member.server}` === other.lines[0]);
    }
    bob.room.say("here again");
    for (const member of [ann, bob, cid]) await member.until(() => member.heard.at(-1) === "bob: here again");
    // The server ended their streams; it did not cut them when its grace was over.
    for (const { aways } of [ann, bob, cid]) assert.equal(aways[0], "moved");
    assert.equal(await owner.exitCode, 0);
  });

  test("a server that comes takes over the rooms that are its own", { timeout }, async () => {
    const { consul, servers } = await startServers(1);
    const rooms = Array.from({ length: 10 }, (_, number) => `room ${number}`);
    const members = rooms.map((room) => joined(consul, room, "ann"));
    await Promise.all(members.map((member) => member.until(() => member.present.length === 1)));

    for (const { aways } of members) aways.length = 0;
    servers.push(started("server.ts", [], { CONSUL_HTTP_ADDR: consul }));
    const endpoints = await untilListed(consul, 2);
    for (const [index, room] of rooms.entries()) {
      const owner = ownerOf(room, endpoints)?.url;
      await members[index]?.until(() => `http://${members[index]?.server}` === owner);
    }
    assert.ok(members.every(({ aways }) => aways.length === 0 || aways[0] === "moved"));
  });

  test("client.ts says what is typed, and leaves at the end of its input", { timeout }, async () => {
    const { consul } = await startServers(1);
    const ann = joined(consul, "tea", "ann");
    await ann.until(() => ann.present.length === 1);
    const client = started("client.ts", ["tea", "bob"], { CONSUL_HTTP_ADDR: consul });
    await ann.until(() => ann.present.join() === "ann,bob");
    ann.room.say("hello bob");
    await client.until(() => client.lines.includes("ann: hello bob"));
    client.type("hello ann\nand goodbye\n");
    await ann.until(() => ann.present.join() === "ann");
    assert.deepEqual(ann.heard, ["ann: hello bob", "bob: hello ann", "bob: and goodbye"]);
    assert.equal(await client.exitCode, 0);
    assert.deepEqual(client.lines, [
      `* bob joined on ${ann.server}, here are: ann, bob`,
      "ann: hello bob",
      "bob: hello ann",
      "bob: and goodbye",
    ]);
  });
});

async function untilListed(consul: string, count: number): Promise<readonly Endpoint[]> {
  for await (const { endpoints } of watchService({ consul, service: "chat" })) {
    if (endpoints.length === count) return endpoints;
  }
  throw new Error("the watch ended");
}
