import type { Pin } from "@clusterd/wire";
import { choice, text, texts, whole, type Flag } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";

const CONTEXT_MAX = 16_777_216;
const SLOTS_MAX = 256;

/** Flags that say how a model is to be placed: of `plan` and `load` alike. */
export const PLACE_FLAGS: {
  readonly ctx: Flag<number | undefined>;
  readonly slots: Flag<number | undefined>;
  readonly kv: Flag<"f16" | "q8_0" | "q4_0" | undefined>;
  readonly objective: Flag<"latency" | "throughput" | "spread" | undefined>;
  readonly head: Flag<string | undefined>;
  readonly pin: Flag<readonly string[]>;
  readonly without: Flag<readonly string[]>;
} = {
  ctx: whole("N", "tokens of context per slot (default: the largest useful one that fits)", { min: 1, max: CONTEXT_MAX }),
  slots: whole("N", "answers at once (default 1)", { min: 1, max: SLOTS_MAX }),
  kv: choice(["f16", "q8_0", "q4_0"], "type of the KV cache (default f16)"),
  objective: choice(["latency", "throughput", "spread"], "what to plan for (default latency)"),
  head: text("NODE", "the node that runs the head"),
  pin: texts("NODE=FIRST-LAST", "hold a node to a range of layers; may be repeated", (given) => {
    parsePin(given);
    return given;
  }),
  without: texts("NODE", "leave a node out; may be repeated"),
};

export interface PlaceInput {
  readonly ctx: number | undefined;
  readonly slots: number | undefined;
  readonly kv: "f16" | "q8_0" | "q4_0" | undefined;
  readonly objective: "latency" | "throughput" | "spread" | undefined;
  readonly head: string | undefined;
  readonly pin: readonly string[];
  readonly without: readonly string[];
}

/** `mini-1=0-9`. Throws a usage error. */
export function parsePin(given: string): Pin {
  const [, node, first, last] = /^(.+)=(\d+)(?:-(\d+))?$/.exec(given) ?? [];
  if (node === undefined || first === undefined) throw usageError(`--pin takes NODE=FIRST-LAST; it was given "${given}".`);
  return { node, firstLayer: Number(first), lastLayer: Number(last ?? first) };
}

/** The members of a request that were really given. */
export function placeBody(flags: PlaceInput): Record<string, unknown> {
  const given = { ctx: flags.ctx, slots: flags.slots, kv: flags.kv, objective: flags.objective, head: flags.head };
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(flags.pin.length > 0 ? { pin: flags.pin } : {}),
    ...(flags.without.length > 0 ? { without: flags.without } : {}),
  };
}
