import type { DescribedModel } from "./describe-model.ts";
import { encodeFloat32, encodeList, encodeText, encodeUint32, type MetadataEntry } from "./gguf-metadata.ts";
import { bias, matrix, norm, plain, type Tensor } from "./tensor.ts";

const UINT32 = 4;
const FLOAT32 = 6;
const BOOL = 7;
const TEXT = 8;
const LIST = 9;
/** Pixels of an image's side, and of a piece's. */
const IMAGE = 56;
const PATCH = 14;
const LAYERS = 2;
const WIDTH = 64;
const HEADS = 2;

const number = (key: string, value: number): MetadataEntry => ({ key, type: UINT32, bytes: encodeUint32(value) });
const float = (key: string, value: number): MetadataEntry => ({ key, type: FLOAT32, bytes: encodeFloat32(value) });
const text = (key: string, value: string): MetadataEntry => ({ key, type: TEXT, bytes: encodeText(value) });
const yes = (key: string): MetadataEntry => ({ key, type: BOOL, bytes: Buffer.from([1]) });
const floats = (key: string, ...values: readonly number[]): MetadataEntry => ({
  key,
  type: LIST,
  bytes: encodeList(FLOAT32, values.map(encodeFloat32)),
});

/** What llama.cpp's `--mmproj` takes for a model of that width: a small CLIP, and two matrices that make model's vectors of its own (LLaVA). */
export function describeProjector(name: string, modelWidth: number): DescribedModel {
  const linear = (tensor: string, from: number, to: number): readonly Tensor[] => [matrix(tensor, from, to), bias(tensor, to)];
  const normed = (tensor: string): readonly Tensor[] => [norm(tensor, WIDTH), bias(tensor, WIDTH)];
  const layer = (index: number): readonly Tensor[] => {
    const block = `v.blk.${index}`;
    return [
      ...["attn_q", "attn_k", "attn_v", "attn_out"].flatMap((part) => linear(`${block}.${part}`, WIDTH, WIDTH)),
      ...[...normed(`${block}.ln1`), ...normed(`${block}.ln2`)],
      ...[...linear(`${block}.ffn_up`, WIDTH, 4 * WIDTH), ...linear(`${block}.ffn_down`, 4 * WIDTH, WIDTH)],
    ];
  };
  const vision = (key: string, value: number): MetadataEntry => number(`clip.vision.${key}`, value);
  return {
    metadata: [
      ...[text("general.architecture", "clip"), text("general.type", "mmproj"), text("general.name", name)],
      ...[yes("clip.has_vision_encoder"), yes("clip.use_gelu"), text("clip.projector_type", "mlp")],
      ...[vision("image_size", IMAGE), vision("patch_size", PATCH), vision("embedding_length", WIDTH)],
      ...[vision("feed_forward_length", 4 * WIDTH), vision("block_count", LAYERS), vision("projection_dim", modelWidth)],
      ...[vision("attention.head_count", HEADS), float("clip.vision.attention.layer_norm_epsilon", 1e-5)],
      ...[floats("clip.vision.image_mean", 0.5, 0.5, 0.5), floats("clip.vision.image_std", 0.5, 0.5, 0.5)],
    ],
    tensors: [
      plain("v.patch_embd", PATCH, PATCH, 3, WIDTH),
      plain("v.position_embd", WIDTH, (IMAGE / PATCH) ** 2),
      ...Array.from({ length: LAYERS }, (_, index) => layer(index)).flat(),
      ...[...linear("mm.0", WIDTH, modelWidth), ...linear("mm.2", modelWidth, modelWidth)],
    ],
    vocabulary: 0,
  };
}
