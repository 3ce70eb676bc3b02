/** What a key may do. Null: without limit. */
export interface KeyLimits {
  /** Ids or aliases, any of which a request must name or mean. */
  readonly models: readonly string[] | null;
  /** Requests for generated text or embeddings in any 60 s, through this node. */
  readonly requestsPerMinute: number | null;
  /** Of prompts and answers, per day (UTC), through all nodes together. */
  readonly tokensPerDay: number | null;
  /** Its requests never leave the cluster. */
  readonly isPrivate: boolean;
  /** Whether it may change the cluster: load, approve, make keys, … */
  readonly mayControl: boolean;
}

/** What a request with a key is let in as. */
export interface KeyGrant extends KeyLimits {
  readonly id: string;
  readonly name: string;
}

/** A key as it is listed: everything but the key. */
export interface KeyView extends KeyGrant {
  /** ISO 8601. */
  readonly createdAt: string;
  /** The day (UTC, `YYYY-MM-DD`) of its latest request through any node. */
  readonly lastUsedDay: string | null;
  /** Counted only for keys with a limit of tokens; null otherwise. */
  readonly tokensToday: number | null;
}
