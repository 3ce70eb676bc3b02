import type { KeyGrant, KeyLimits, KeyView } from "@clusterd/wire";

export interface KeyWish extends KeyLimits {
  readonly name: string | null;
}

/** Why a known key's request is not taken now. */
export interface OverLimit {
  readonly limit: "requests" | "tokens";
  readonly max: number;
  readonly retryAfterSeconds: number;
}

/** The API keys of the cluster, as the HTTP surface uses them. */
export interface Keys {
  /** Whose key a text is; null: nobody's, or a revoked one. */
  check(key: string): KeyGrant | null;
  /** Counts a request of a key against its limits; what it gives back is why not. */
  take(id: string): OverLimit | null;
  /** Tokens that a request of a key has cost. */
  spend(id: string, tokens: number): void;
  list(): readonly KeyView[];
  /** The key itself is given this once. Rejects with `invalid_request` where the name is taken or there are too many. */
  create(wish: KeyWish): Promise<{ readonly key: string; readonly view: KeyView }>;
  /** By name or id; rejects with `not_found`. */
  revoke(nameOrId: string): Promise<KeyView>;
}
