import { SPECULATION_WISHES, type Pin, type SpeculationWish } from "@clusterd/wire";
import { choice, text, texts, whole, type Flag } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";
import { absoluteRef } from "../model-ref.ts";

const CONTEXT_MAX = 16_777_216;
const SLOTS_MAX = 256;

/** Flags that say how a model is to be placed: of `plan` and `load` alike. */
export const PLACE_FLAGS: {
  readonly ctx: Flag<number | undefined>;
  readonly slots: Flag<number | undefined>;
  readonly kv: Flag<"f16" | "q8_0" | "q4_0" | undefined>;
  readonly "flash-attention": Flag<"on" | "off" | undefined>;
  readonly draft: Flag<string | undefined>;
  readonly speculation: Flag<SpeculationWish | undefined>;
  readonly objective: Flag<"latency" | "throughput" | "spread" | undefined>;
  readonly head: Flag<string | undefined>;
  readonly pin: Flag<readonly string[]>;
  readonly without: Flag<readonly string[]>;
} = {
  ctx: whole("N", "tokens of context per slot (default: the largest useful one that fits)", { min: 1, max: CONTEXT_MAX }),
  slots: whole("N", "answers at once (default 1)", { min: 1, max: SLOTS_MAX }),
  kv: choice(["f16", "q8_0", "q4_0"], "type of the KV cache (default f16)"),
  "flash-attention": choice(
    ["on", "off"],
    "off: more memory and traffic, for hardware whose flash attention is slow (default on)",
  ),
  draft: text("REF", "a small model of the same vocabulary that guesses tokens ahead, on the head", { completes: "file" }),
  speculation: choice(
    SPECULATION_WISHES,
    "how tokens are guessed ahead (default auto: by --draft, else by the model's own layers where it has them, else by n-grams)",
  ),
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
  readonly "flash-attention": "on" | "off" | undefined;
  readonly draft: string | undefined;
  readonly speculation: SpeculationWish | undefined;
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

/** The members of a request that were really given. A draft model's path is one in the caller's folder. */
export function placeBody(flags: PlaceInput, cwd: string): Record<string, unknown> {
  const { ctx, slots, kv, speculation, objective, head } = flags;
  const draft = flags.draft === undefined ? undefined : absoluteRef(flags.draft, cwd);
  const { "flash-attention": flash } = flags;
  const flashAttention = flash === undefined ? undefined : flash === "on";
  const given = { ctx, slots, kv, flashAttention, draft, speculation, objective, head };
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(flags.pin.length > 0 ? { pin: flags.pin } : {}),
    ...(flags.without.length > 0 ? { without: flags.without } : {}),
  };
}
