import { readFile, rename, writeFile } from "node:fs/promises";

/** Models whose last use is remembered: those used longest ago are forgotten first. */
const REMEMBERED_MAX = 1_024;
const RECORD_BYTES_MAX = 1024 * 1024;
const KEY = /^[\w.+:/@ -]{1,512}$/u;
/** Uses within this time are written down together. Milliseconds. */
const WRITE_MS = 1_000;

/** When each model on this node's disk was last used: loaded, fetched, or read by another node. Kept over restarts. */
export interface LastUse extends AsyncDisposable {
  /** A model's content, or what else is kept, has just been used. */
  used(key: string): void;
  /** Milliseconds since 1970; null: not known. */
  at(key: string): number | null;
}

export async function openLastUse(path: string, now: () => number = Date.now): Promise<LastUse> {
  const uses = await kept(path);
  let timer: NodeJS.Timeout | null = null;
  let writing: Promise<void> = Promise.resolve();

  function write(): Promise<void> {
    timer = null;
    const latest = [...uses].toSorted(([, a], [, b]) => b - a).slice(0, REMEMBERED_MAX);
    for (const key of uses.keys()) if (!latest.some(([known]) => known === key)) uses.delete(key);
    writing = writing.then(async () => {
      await writeFile(`${path}.tmp`, `${JSON.stringify(Object.fromEntries(latest))}\n`, { mode: 0o600 });
      await rename(`${path}.tmp`, path);
    });
    // A full disk: it is then only known until the daemon ends.
    writing = writing.catch(() => undefined);
    return writing;
  }

  return {
    used(key) {
      if (!KEY.test(key)) return;
      uses.set(key, now());
      timer ??= setTimeout(() => void write(), WRITE_MS);
    },
    at: (key) => uses.get(key) ?? null,
    async [Symbol.asyncDispose]() {
      if (timer === null) return writing;
      clearTimeout(timer);
      await write();
    },
  };
}

async function kept(path: string): Promise<Map<string, number>> {
  try {
    const text = await readFile(path, "utf8");
    const entries = text.length > RECORD_BYTES_MAX ? [] : Object.entries(JSON.parse(text) as Record<string, unknown>);
    return new Map(
      entries
        .filter((entry): entry is [string, number] => KEY.test(entry[0]) && Number.isFinite(entry[1]))
        .slice(0, REMEMBERED_MAX),
    );
  } catch {
    // None yet, or damaged: all count as unused for long.
    return new Map();
  }
}
