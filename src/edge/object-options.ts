// The options of a Durable Object, as the user's function gives them: asked once, and what it throws told without a secret.

import { describeValue } from "../core/describe-value.ts";

/** The part of Cloudflare's DurableObjectState that names the object. */
export interface NamedObjectState {
  readonly id: { readonly name?: string | undefined };
}

/** Why an object cannot do its work. The text holds no secret. */
export interface Refusal {
  readonly refusal: string;
}

/** Opens `what` of an object, with its options for the object's bindings and its name. Never throws. */
export function openObject<Env, Options, Opened extends object>(
  what: string,
  options: (env: Env, name: string) => Options,
  env: Env,
  { id }: NamedObjectState,
  open: (options: Options, name: string) => Opened,
): Opened | Refusal {
  const name = id.name ?? "";
  let given: Options;
  try {
    given = options(env, name);
  } catch (error) {
    // Its text is the user's, and bindings hold secrets.
    return { refusal: `The options of ${what} cannot be had: ${nameOf(error)}` };
  }
  try {
    return open(given, name);
  } catch (error) {
    return { refusal: error instanceof Error ? error.message : String(error) };
  }
}

/** The name of the error's class, where it is one; nothing that could hold more. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return describeValue(error);
  return /^\w{1,60}$/.test(error.name) ? error.name : "Error";
}
