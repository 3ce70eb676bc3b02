import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Keys } from "@clusterd/gateway";
import { ClusterdError, type KeyView, type NodeId } from "@clusterd/wire";
import type { SharedSettings } from "../settings/shared-settings.ts";
import { KEY_PREFIX, parseKeyRecord, type KeyRecord } from "./key-record.ts";
import { createKeyUsage, dayOf } from "./key-usage.ts";
import { createRequestWindow, type RequestWindow } from "./request-window.ts";

const DAY_MS = 86_400_000;
/** Random bytes of a key. */
const SECRET_BYTES = 32;
/** Keys of a cluster. */
const KEYS_MAX = 256;

export interface KeyStoreConfig {
  readonly settings: SharedSettings;
  readonly self: NodeId;
  /** Milliseconds since 1970, for days. */
  nowMs(): number;
  log(message: string): void;
}

export interface KeyStore extends Keys, AsyncDisposable {}

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

/** The cluster's API keys: kept hashed in its settings, so that every node takes them and a revoked one is refused everywhere. */
export function createKeyStore({ settings, self, nowMs, log }: KeyStoreConfig): KeyStore {
  const usage = createKeyUsage(settings, self, nowMs, log);
  const windows = new Map<string, RequestWindow>();
  let byHash = new Map<string, KeyRecord>();
  let byId = new Map<string, KeyRecord["key"]>();

  function read(): void {
    const records = settings.entries(KEY_PREFIX).flatMap(([key, value]) => parseKeyRecord(key, value) ?? []);
    byHash = new Map(records.map((record) => [record.hash, record]));
    byId = new Map(records.map(({ key }) => [key.id, key]));
    for (const id of windows.keys()) if (!byId.has(id)) windows.delete(id);
  }
  read();
  const unsubscribe = settings.subscribe((keys) => {
    if (keys.some((key) => key.startsWith(KEY_PREFIX))) read();
  });

  const view = (key: KeyRecord["key"]): KeyView => ({
    ...key,
    lastUsedDay: usage.lastDay(key.id),
    tokensToday: key.tokensPerDay === null ? null : usage.tokensOn(dayOf(nowMs()), key.id),
  });

  function named(nameOrId: string): KeyRecord["key"] {
    const records = [...byId.values()];
    const direct = byId.get(nameOrId);
    const found = direct === undefined ? records.filter(({ name }) => sameName(name, nameOrId)) : [direct];
    const [only] = found;
    if (only === undefined)
      throw new ClusterdError("not_found", `There is no key ${JSON.stringify(nameOrId.slice(0, 100))}.`, {
        next: records.length === 0 ? "There are no keys." : "See them with: clusterd key list",
        param: "key",
      });
    if (found.length > 1)
      throw new ClusterdError("invalid_request", `${found.length} keys have the name ${JSON.stringify(only.name)}.`, {
        next: `Name one by its id: ${found.map(({ id }) => id).join(", ")}.`,
        param: "key",
      });
    return only;
  }

  return {
    check(key) {
      const hash = hashOf(key);
      // Found by its hash, of which whoever tries keys knows nothing: how long that takes tells nothing of other keys.
      const found = byHash.get(hash);
      return found !== undefined && timingSafeEqual(Buffer.from(found.hash), Buffer.from(hash)) ? found.key : null;
    },
    take(id) {
      const record = byId.get(id);
      if (record === undefined) return null;
      const { requestsPerMinute, tokensPerDay } = record;
      const now = nowMs();
      if (tokensPerDay !== null && usage.tokensOn(dayOf(now), id) >= tokensPerDay)
        return { limit: "tokens", max: tokensPerDay, retryAfterSeconds: Math.ceil((DAY_MS - (now % DAY_MS)) / 1000) };
      if (requestsPerMinute !== null) {
        const window = windows.get(id) ?? createRequestWindow();
        windows.set(id, window);
        const seconds = window.take(requestsPerMinute, performance.now());
        if (seconds !== null) return { limit: "requests", max: requestsPerMinute, retryAfterSeconds: seconds };
      }
      usage.note(id, 0);
      return null;
    },
    spend(id, tokens) {
      if (byId.get(id)?.tokensPerDay != null) usage.note(id, tokens);
    },
    list: () => [...byId.values()].sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1)).map(view),
    async create({ name, ...limits }) {
      const id = randomBytes(5).toString("hex");
      const wanted = name ?? `key-${id}`;
      if (byId.has(wanted) || [...byId.values()].some((known) => sameName(known.name, wanted)))
        throw new ClusterdError("invalid_request", `There is a key of the name ${JSON.stringify(wanted)} already.`, {
          next: "Choose another name, or revoke that key first.",
          param: "name",
        });
      if (byId.size >= KEYS_MAX)
        throw new ClusterdError("invalid_request", `A cluster has at most ${KEYS_MAX} API keys.`, {
          next: "Revoke one that is not used any more: clusterd key list",
        });
      const key = `ck_${randomBytes(SECRET_BYTES).toString("base64url")}`;
      const stored = { name: wanted, createdAt: new Date(nowMs()).toISOString(), ...limits };
      await settings.set(KEY_PREFIX + id, { ...stored, hash: hashOf(key) });
      return { key, view: view({ id, ...stored }) };
    },
    async revoke(nameOrId) {
      const record = named(nameOrId);
      const shown = view(record);
      await settings.set(KEY_PREFIX + record.id, null);
      return shown;
    },
    async [Symbol.asyncDispose]() {
      unsubscribe();
      await usage[Symbol.asyncDispose]();
    },
  };
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
