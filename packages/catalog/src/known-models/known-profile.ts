import { createHash } from "node:crypto";
import { asModelId, type ModelProfile } from "@clusterd/wire";
import { buildProfile } from "../build-profile.ts";
import type { GuardedHeader } from "../header-guard.ts";
import { layerParts, shapeTensors } from "./shape-tensors.ts";
import { quantise, type Quantisation } from "./quantise.ts";
import type { KnownModel, ModelShape } from "./model-shape.ts";

/** Where tensors begin: files are written so. */
const ALIGNMENT_BYTES = 32;
/** A header is mostly the vocabulary with its merges: 40 to 60 bytes a token in the files looked at. */
const HEADER_BYTES_PER_TOKEN = 48;

/** Elements of all tensors. */
export function parameterCount(model: KnownModel): number {
  return shapeTensors(model.shape, model.architecture).reduce(
    (sum, { dimensions }) => sum + dimensions.reduce((product, length) => product * length, 1),
    0,
  );
}

/**
 * The profile of a catalogued model in a quantisation: its shape is written out as the header its file would have, and read by what reads
 * files. The id is `NAME:QUANTISATION`, the name one of the model's; the content id is of no file anywhere.
 */
export function knownProfile(model: KnownModel, quantisation: Quantisation, name: string = model.names[0] ?? ""): ModelProfile {
  const id = `${name}:${quantisation}`;
  const dataStart = model.shape.vocabulary * HEADER_BYTES_PER_TOKEN;
  let offset = 0;
  const tensors = quantise(shapeTensors(model.shape, model.architecture), model, quantisation).map((tensor) => {
    const placed = { ...tensor, offset };
    offset += Math.ceil(tensor.bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    return placed;
  });
  const header: GuardedHeader = {
    path: `${name}-${quantisation}.gguf`,
    fileBytes: dataStart + offset,
    dataStart,
    metadata: {
      alignment: ALIGNMENT_BYTES,
      architecture: model.architecture,
      splitNumber: null,
      splitCount: null,
      splitTensorCount: null,
    },
    tensors,
  };
  const contentId = createHash("sha256").update(`catalogue\n${model.names[0]}:${quantisation}`).digest("hex");
  const metadata = {
    general: { architecture: model.architecture, name: id },
    specific: specificKeys(model.shape),
    vocabulary: null,
  };
  return { ...buildProfile([header], contentId, metadata), id: asModelId(id), name: id, quantisation };
}

/** The keys under the architecture's name, nested as the reader of files gives them. */
function specificKeys(shape: ModelShape): Record<string, unknown> {
  const { heads, latent, experts, recurrent } = shape;
  const count = shape.layers + shape.next;
  const each = <Value>(value: (layer: number) => Value): Value[] => Array.from({ length: count }, (_, layer) => value(layer));
  const widthOf = (part: "dense" | "experts" | null): number =>
    part === null ? 0 : part === "dense" ? shape.ffn : (experts?.width ?? 0);
  const hasAttention = (layer: number): boolean => layerParts(shape, layer).mixer === "attention";
  const isHybrid = recurrent !== null;
  // Kept by the file: latent attention is one key/value head of the compressed length and the rotary part.
  const attention =
    latent === null
      ? {
          head_count: heads.query,
          head_count_kv: isHybrid ? each((layer) => (hasAttention(layer) ? heads.keyValue : 0)) : heads.keyValue,
          key_length: heads.length,
          value_length: heads.length,
        }
      : {
          head_count: heads.query,
          head_count_kv: 1,
          key_length: latent.keyValueRank + latent.rotary,
          value_length: latent.keyValueRank,
          key_length_mla: latent.plain + latent.rotary,
          value_length_mla: latent.value,
          kv_lora_rank: latent.keyValueRank,
          ...(latent.queryRank === 0 ? {} : { q_lora_rank: latent.queryRank }),
        };
  return {
    block_count: count,
    context_length: shape.context,
    embedding_length: shape.hidden,
    vocab_size: shape.vocabulary,
    // Where layers are one thing each, those without a feed-forward part say so by a width of 0.
    feed_forward_length: /[-E]/u.test(shape.blocks) ? each((layer) => widthOf(layerParts(shape, layer).feedForward)) : shape.ffn,
    attention: { ...attention, ...(shape.window === null ? {} : { sliding_window: shape.window }) },
    rope: { dimension_count: latent === null ? heads.length : latent.rotary },
    ...(shape.next === 0 ? {} : { nextn_predict_layers: shape.next }),
    ...(experts === null
      ? {}
      : {
          expert_count: experts.total,
          expert_used_count: experts.used,
          expert_feed_forward_length: experts.width,
          leading_dense_block_count: shape.dense,
          interleave_moe_layer_step: shape.every,
          ...(shape.shared === 0
            ? {}
            : { expert_shared_count: shape.shared / experts.width, expert_shared_feed_forward_length: shape.shared }),
        }),
    ...(recurrent === null
      ? {}
      : {
          ssm: {
            inner_size: recurrent.inner,
            state_size: recurrent.state,
            time_step_rank: recurrent.heads,
            group_count: recurrent.groups,
            conv_kernel: recurrent.convolution,
          },
        }),
  };
}
