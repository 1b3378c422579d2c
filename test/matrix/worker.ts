// A Worker that carries out the EdgeOrder in its query, and answers with the answers.

import { callByEdge } from "./edge-caller.ts";

const worker = {
  async fetch(request: Request): Promise<Response> {
    try {
      const order = new URL(request.url).searchParams.get("order") ?? "";
      return Response.json(await callByEdge(JSON.parse(order)));
    } catch (error) {
      return new Response(error instanceof Error ? error.stack : String(error), { status: 500 });
    }
  },
};

// biome-ignore lint/style/noDefaultExport: workerd finds a Worker there.
export default worker;
