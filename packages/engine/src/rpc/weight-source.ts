/** Where a tensor's bytes are in a model's files. */
export interface WeightPlace {
  /** Index of the file. */
  readonly part: number;
  /** Bytes from that file's start. */
  readonly position: number;
  readonly bytes: number;
}

/** The weights that a node has on its own disk and may serve: their content was checked. */
export interface LocalWeights {
  /** Paths of the model's files. */
  readonly parts: readonly string[];
  /** By the tensors' names. */
  readonly places: ReadonlyMap<string, WeightPlace>;
}
