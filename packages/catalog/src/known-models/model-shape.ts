import { DENSE_MODELS } from "./dense-models.ts";
import { MIXTURE_MODELS } from "./mixture-models.ts";

/** A model's dimensions as its public `config.json` gives them. Lengths in elements. */
export interface ModelShape {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: { readonly query: number; readonly keyValue: number; readonly length: number };
  /** Width of a dense feed-forward part; 0 where every layer has experts. */
  readonly ffn: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly tied: boolean;
  /** Query, key and value in one tensor. */
  readonly fused: boolean;
  /** Gate and up in one tensor of twice the width. */
  readonly gatedUp: boolean;
  /** No gate: up and down only. */
  readonly plain: boolean;
  /** The query's projection also makes a gate of the attention's result. */
  readonly gatedAttention: boolean;
  /** Tokens that sliding-window layers look back; which layers those are follows from the architecture. */
  readonly window: number | null;
  readonly experts: { readonly total: number; readonly used: number; readonly width: number } | null;
  /** Width of all shared experts together. */
  readonly shared: number;
  /** Leading layers without experts. */
  readonly dense: number;
  /** Every which layer has experts. */
  readonly every: number;
  /** Latent attention (MLA): ranks of the compressed query (0: not compressed) and key/value, lengths per head. */
  readonly latent: {
    readonly queryRank: number;
    readonly keyValueRank: number;
    readonly plain: number;
    readonly rotary: number;
    readonly value: number;
  } | null;
  /** State space or linear attention: inner width, state length, heads, groups, convolution. */
  readonly recurrent: {
    readonly inner: number;
    readonly state: number;
    readonly heads: number;
    readonly groups: number;
    readonly convolution: number;
  } | null;
  /**
   * What each layer is, repeated over all of them. `A`: attention and feed-forward, `R`: recurrent and feed-forward; and where a layer
   * is only one of these, as in Nemotron's own notation: `M` recurrent, `*` attention, `-` feed-forward, `E` experts.
   */
  readonly blocks: string;
  /** Further layers at the end that predict later tokens. */
  readonly next: number;
}

/** A well-known open model. */
export interface KnownModel {
  /** The first is the one it is shown by. */
  readonly names: readonly string[];
  /** As published. */
  readonly parameters: number;
  /** The repository whose `config.json` the shape is from. */
  readonly source: string;
  readonly architecture: string;
  readonly shape: ModelShape;
  /** The one quantisation it is published in, where no other makes sense. */
  readonly only: string | null;
}

let known: readonly KnownModel[] | null = null;

/** All of the catalogue. */
export function knownModels(): readonly KnownModel[] {
  known ??= `${DENSE_MODELS}${MIXTURE_MODELS}`
    .split("\n")
    .filter((line) => line !== "")
    .map(parseModel);
  return known;
}

function parseModel(line: string): KnownModel {
  const [names = "", parameters = "", source = "", architecture = "", rest = ""] = line.split("|").map((part) => part.trim());
  const words = new Map(
    rest.split(" ").map((word): [string, string] => {
      const at = word.indexOf("=");
      return at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
    }),
  );
  return {
    names: names.split(" "),
    parameters: Number(parameters),
    source,
    architecture,
    shape: parseShape(words),
    only: words.get("only") ?? null,
  };
}

function parseShape(words: ReadonlyMap<string, string>): ModelShape {
  const number = (key: string, absent = 0): number => Number(words.get(key) ?? absent);
  /** The numbers of `64/8x128`, each 0 where missing. */
  const numbers = (key: string): number[] | null => words.get(key)?.split(/[/x]/u).map(Number) ?? null;
  const [query = 0, keyValue = 0, length = 0] = numbers("heads") ?? [];
  const experts = numbers("experts");
  const mla = numbers("mla");
  const ssm = numbers("ssm");
  const nth = (list: readonly number[], index: number): number => list[index] ?? 0;
  return {
    layers: number("layers"),
    hidden: number("hidden"),
    heads: { query, keyValue, length },
    ffn: number("ffn"),
    vocabulary: number("vocab"),
    context: number("context"),
    tied: words.has("tied"),
    fused: words.has("fused"),
    gatedUp: words.has("gated-up"),
    plain: words.has("plain"),
    gatedAttention: words.has("gated-attention"),
    window: words.has("window") ? number("window") : null,
    experts: experts === null ? null : { total: nth(experts, 0), used: nth(experts, 1), width: nth(experts, 2) },
    shared: number("shared"),
    dense: number("dense"),
    every: number("every", 1),
    latent:
      mla === null
        ? null
        : { queryRank: nth(mla, 0), keyValueRank: nth(mla, 1), plain: nth(mla, 2), rotary: nth(mla, 3), value: nth(mla, 4) },
    recurrent:
      ssm === null
        ? null
        : { inner: nth(ssm, 0), state: nth(ssm, 1), heads: nth(ssm, 2), groups: nth(ssm, 3), convolution: nth(ssm, 4) },
    blocks: words.get("blocks") ?? "A",
    next: number("next"),
  };
}
