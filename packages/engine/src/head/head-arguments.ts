import { MICRO_BATCH_TOKENS, promptBatchTokens, textBatchTokens } from "@clusterd/wire";
import { assertHeadSpec, devicesOf, endpointsOf, type HeadSpec } from "./head-spec.ts";
import { speculationArguments } from "./speculation-arguments.ts";

/**
 * llama-server's command line for exact layer ranges. A model has a slot for each layer, those for later tokens behind the others, and a
 * last one for the output; `-ngl` counts the slots off the head's CPU, from the end, and `-ts` shares those among the devices in order: as
 * integers whose sum is `-ngl`, so that llama.cpp's division comes out exact. Throws where the layers do not add up.
 */
export function headArguments(spec: HeadSpec): readonly string[] {
  assertHeadSpec(spec);
  return pairs(
    ["-m", spec.modelPath],
    ["--alias", spec.modelId],
    ["--load-mode", spec.mapped === true ? "mmap" : "none"],
    ...placementPairs(spec),
    ...batches(spec),
    projector(spec),
    ["-fit", "off"],
    ["-fa", spec.flashAttention === false ? "off" : "on"],
    ["-c", String(spec.context * spec.slots)],
    // At the context's end an answer ends as well, and says so; it does not go on by forgetting how it began.
    ["--no-context-shift"],
    ["-np", String(spec.slots)],
    ["-ctk", spec.kv],
    ["-ctv", spec.kv],
    ["-t", String(spec.threads)],
    speculationArguments(spec.speculation ?? { type: "off" }, spec.kv),
    // Its prompt cache would pull and push whole KV caches over the network; a warm-up run is the first request's, not the load's.
    ["-cram", "0"],
    ["--no-warmup", "--offline", "--no-ui", "--metrics", "--jinja"],
    // The system picks the port, and the server tells it once it is bound.
    ["--host", "127.0.0.1"],
    ["--port", "0"],
  );
}

/** Images are the head's work: left to itself the engine gives them to the first device there is, which may be another machine. */
function projector({ projectorPath, acceleratorId, layers }: HeadSpec): readonly string[] {
  if (projectorPath === undefined || projectorPath === null) return [];
  return ["--mmproj", projectorPath, ...(acceleratorId !== null && layers.head > 0 ? [] : ["--no-mmproj-offload"])];
}

function batches({ layers: { head, workers }, embedding, context }: HeadSpec): readonly (readonly string[])[] {
  const stages = workers.length + (head > 0 ? 1 : 0);
  if (embedding === undefined || embedding === null) {
    const tokens = promptBatchTokens(stages);
    return tokens === MICRO_BATCH_TOKENS ? [] : [["-ub", String(tokens)]];
  }
  // For embeddings the server wants both batches alike.
  const tokens = String(textBatchTokens(embedding, context, stages));
  return [["--embeddings"], ["--pooling", embedding.pooling], ["-b", tokens], ["-ub", tokens]];
}

/** Flags, each with its value. */
const pairs = (...groups: readonly (readonly string[])[]): readonly string[] => groups.flat();

function placementPairs(spec: HeadSpec): readonly (readonly string[])[] {
  const { layers } = spec;
  const devices = devicesOf(spec);
  if (devices.length === 0) return [["--device", "none", "-ngl", "0"]];
  const shares = devices.map((device, index) => device.layers + (index === devices.length - 1 ? 1 : 0));
  const remote = endpointsOf(layers);
  const placed = [
    ["--device", devices.map(({ name }) => name).join(",")],
    ["-ngl", String(shares.reduce((sum, share) => sum + share, 0))],
    ["-ts", shares.join(",")],
    ["-sm", "layer"],
  ];
  if (remote.length === 0) return placed;
  // The output stays on the head: the last worker returns a hidden state instead of the logits of the whole vocabulary. The anchor
  // keeps attn_output out; token_embd serves models whose output is the embedding. The norm before it has the output's place, which is the
  // worker for later tokens where there is one: no other token is to go there.
  const own = layers.nextTokens === undefined ? "output|token_embd" : "output|output_norm|token_embd";
  return [["--rpc", remote.join(",")], ...placed, ["-ot", `^(${own})\\.weight=CPU`]];
}
