// Carries out an EdgeOrder in a process of its own, and prints the answers as one line of JSON. Argument: the order, in JSON.

import process from "node:process";
import { callByEdge } from "./edge-caller.ts";

console.log(JSON.stringify(await callByEdge(JSON.parse(process.argv[2] ?? ""))));
