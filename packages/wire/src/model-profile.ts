import type { ContentId, ModelId } from "./ids.ts";
import type { Vocabulary } from "./speculation.ts";

/** The type in which keys and values are cached. */
export type KvType = "f16" | "q8_0" | "q4_0";

/** Bytes of one cached element, by type: q8_0 is 34 bytes for 32 elements, q4_0 is 18 for 32 (ggml's block layouts). */
export const KV_BYTES_PER_ELEMENT: Readonly<Record<KvType, number>> = { f16: 2, q8_0: 34 / 32, q4_0: 18 / 32 };

/** One decoder layer. */
export interface LayerProfile {
  /** Bytes of all its tensors. */
  readonly weightBytes: number;
  /** Bytes read for one decoded token: all of them, or for a mixture of experts the shared part and the experts used. */
  readonly activeBytes: number;
  /** Weights used for one token, as a number of them: what arithmetic on a prompt is counted by. */
  readonly activeParameters: number;
  /** Cached key and value elements per token of context. */
  readonly kvElementsPerToken: number;
  /** Tokens of context beyond which its cache does not grow (a sliding window); null: it grows with the whole context. */
  readonly kvWindowTokens: number | null;
  /** Recurrent state for each slot, whatever the context: bytes, 0 where there is none. */
  readonly stateBytes: number;
}

/** How the vectors of a text's tokens become the one of the text: their mean, the first one (its mark), or the last. */
export type Pooling = "mean" | "cls" | "last";
export const POOLINGS: readonly Pooling[] = ["mean", "cls", "last"];

/** What a model that makes embeddings needs of its engine. */
export interface EmbeddingUse {
  readonly pooling: Pooling;
  /** Whether a text is computed in one piece, because its tokens see those after them or none are kept. */
  readonly whole: boolean;
}

/** What lets a model see images: a file beside its own, run by the head. */
export interface Projector {
  /** Its name in the model's folder. */
  readonly file: string;
  readonly fileBytes: number;
  /** Weights, and intermediate results of the largest image. */
  readonly memoryBytes: number;
}

/** Token ids that mark a text with a gap: before what precedes it, before what follows it, and where the model fills it. */
export interface InfillTokens {
  readonly prefix: number;
  readonly suffix: number;
  readonly middle: number;
  /** Stands before every text; null: none does. */
  readonly begin: number | null;
}

/** What a model's GGUF header says of it. Sizes in bytes, context in tokens. */
export interface ModelProfile {
  readonly id: ModelId;
  readonly contentId: ContentId;
  /** The name the file gives itself, for people. */
  readonly name: string;
  readonly architecture: string;
  /** For people, e.g. `Q8_0`. */
  readonly quantisation: string;
  /** All parts together. */
  readonly fileBytes: number;
  /** The context the model was trained for. */
  readonly contextMax: number;
  readonly vocabularySize: number;
  readonly embeddingLength: number;
  /** Of a model that makes embeddings; null or absent: it generates text. */
  readonly embedding?: EmbeddingUse | null;
  /** Null or absent: it sees nothing. */
  readonly projector?: Projector | null;
  /** Null or absent: it was not made to fill gaps. */
  readonly infill?: InfillTokens | null;
  /** Null where the file has none. */
  readonly vocabulary: Vocabulary | null;
  /** Of its layers, those at the end that predict further tokens; the engine leaves them on the disk unless it speculates with them. */
  readonly nextTokenLayers: number;
  readonly layers: readonly LayerProfile[];
  /** Elements (f32) of intermediate results for each token of a micro-batch, in the layer that takes most. */
  readonly activations: {
    /** On the head, by how the cache is kept. */
    readonly f16Cache: number;
    readonly quantisedCache: number;
    readonly worker: number;
    /** In a recurrent layer, besides the state of every slot; 0 where there are none. */
    readonly recurrent: number;
    /**
     * Without flash attention: so many, and `rows` more for every token that a slot's cache has room for. Besides, indices of a token's
     * `values`, and for every token of the whole cache a copy of so many elements (f16).
     */
    readonly unfused: Readonly<Record<"head" | "worker" | "rows" | "values" | "copied", number>>;
  };
  /** Token embedding. With tied embeddings 0: the one matrix is counted as output. */
  readonly inputBytes: number;
  /** Output norm and output matrix (the embedding matrix where the two are tied). */
  readonly outputBytes: number;
  /** One hidden state as it crosses the wire: embedding length × 4 bytes (f32). */
  readonly hiddenBytes: number;
}
