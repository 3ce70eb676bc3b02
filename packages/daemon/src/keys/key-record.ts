import { count, flag, list, NAME_LENGTH_MAX, nullable, record, text, type Check, type KeyGrant } from "@clusterd/wire";

export const KEY_PREFIX = "key/";
/** What a member may have stored; what may be asked for is the gateway's to limit. */
const MODELS_PER_KEY_MAX = 64;
const MODEL_LENGTH_MAX = 256;

/** A key as the cluster's settings keep it, under `key/ID`. */
export interface KeyRecord {
  /**
   * SHA-256 of the key, hex. A slow hash would gain nothing: the key is 256 random bits, which nobody guesses at any speed, and
   * checking it costs every request.
   */
  readonly hash: string;
  readonly key: KeyGrant & { readonly createdAt: string };
}

const sha256: Check<string> = (value, path) => {
  const given = text(64)(value, path);
  return /^[0-9a-f]{64}$/.test(given) ? given : "";
};

const shape = record({
  name: text(NAME_LENGTH_MAX),
  hash: sha256,
  createdAt: text(32),
  models: nullable(list(text(MODEL_LENGTH_MAX), MODELS_PER_KEY_MAX)),
  requestsPerMinute: nullable(count()),
  tokensPerDay: nullable(count()),
  isPrivate: flag,
  mayControl: flag,
});

/** The key of a setting; null where it is not one that this version understands: such a key admits nobody. */
export function parseKeyRecord(settingKey: string, value: unknown): KeyRecord | null {
  const id = settingKey.slice(KEY_PREFIX.length);
  try {
    const { hash, ...key } = shape(value, settingKey);
    return hash === "" ? null : { hash, key: { id, ...key } };
  } catch {
    return null;
  }
}
