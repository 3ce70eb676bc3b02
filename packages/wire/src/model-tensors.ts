import type { ContentId } from "./ids.ts";

/** What a node knows of a model's bytes: where each tensor lies, and what it must be. */
export interface ModelTensors {
  readonly model: string;
  readonly contentId: ContentId;
  /** Where the digests are from: a copy verified against a hub, another member, or a file of which nobody says what it must be. */
  readonly source: "hub" | "member" | "file";
  readonly parts: readonly {
    readonly name: string;
    readonly bytes: number;
    readonly dataStart: number;
    readonly sha256: string | null;
  }[];
  readonly tensors: readonly {
    readonly name: string;
    /** ggml's name of it, as `Q8_0`. */
    readonly type: string;
    readonly dims: readonly number[];
    /** Index of the part. */
    readonly part: number;
    /** Bytes from that part's start. */
    readonly offset: number;
    readonly bytes: number;
    /** Null: belongs to no layer. */
    readonly layer: number | null;
    readonly sha256: string | null;
    /** As llama.cpp's RPC hashes it: 16 hexadecimal digits. */
    readonly fnv1a: string | null;
  }[];
}
