import { Buffer } from "node:buffer";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { Disk } from "../pull/part-file.ts";

/** One file's bytes: as programs see them, and as they are on the platter, with what was written since in between. */
interface Stored {
  seen: Buffer;
  safe: Buffer;
  pending: ((safe: Buffer) => Buffer)[];
}

/** Names and the files they mean; changes of names since the folder's last sync. */
type Names = Map<string, Stored>;

/** A disk in memory that may lose its power: what was not synced is then lost, or not, each write as it likes. */
export interface FailingDisk extends Disk {
  /** The disk as it is found afterwards. `keeps`: asked of each unsynced write, and of each change of names, the oldest first. */
  loosePower(keeps: () => boolean): FailingDisk;
  /** A file's bytes; null: there is none. */
  bytes(path: string): Buffer | null;
}

/** `gone` is called at every operation: it may throw, and stands for the moment of the loss. */
export function failingDisk(gone: () => void, safe: ReadonlyMap<string, Buffer> = new Map()): FailingDisk {
  const stored = (bytes: Buffer): Stored => ({ seen: Buffer.from(bytes), safe: Buffer.from(bytes), pending: [] });
  const names: Names = new Map([...safe].map(([path, bytes]) => [path, stored(bytes)]));
  const safeNames: Names = new Map(names);
  let renames: { readonly folder: string; readonly apply: (to: Names) => void }[] = [];

  const change = (path: string, apply: (to: Names) => void): void => {
    apply(names);
    renames.push({ folder: dirname(path), apply });
  };
  const write = (file: Stored, apply: (bytes: Buffer) => Buffer): void => {
    file.seen = apply(file.seen);
    file.pending.push(apply);
  };
  const syncFile = (file: Stored): void => {
    file.safe = Buffer.from(file.seen);
    file.pending = [];
  };
  const syncNames = (folder: string): void => {
    // As file systems with a journal do it: what was done before, anywhere, is done too.
    if (!renames.some((one) => one.folder === folder)) return;
    for (const { apply } of renames) apply(safeNames);
    renames = [];
  };
  const missing = (): Error => Object.assign(new Error("no such file"), { code: "ENOENT" });

  function handleOf(path: string, file: Stored | null): FileHandle {
    const must = (): Stored => {
      gone();
      if (file === null) throw new Error("a folder");
      return file;
    };
    const handle = {
      stat: async () => ({ size: must().seen.length, isFile: () => true }),
      truncate: async (bytes: number) =>
        write(must(), (old) => Buffer.concat([old.subarray(0, bytes), Buffer.alloc(Math.max(0, bytes - old.length))])),
      async write(bytes: Uint8Array, at: number, count: number, position: number) {
        const copy = Buffer.from(bytes.subarray(at, at + count));
        write(must(), (old) => {
          const next = Buffer.concat([old, Buffer.alloc(Math.max(0, position + count - old.length))]);
          copy.copy(next, position);
          return next;
        });
        return { bytesWritten: count };
      },
      read: async (window: Buffer, at: number, count: number, position: number) => ({
        bytesRead: must().seen.copy(window, at, position, position + count),
      }),
      readFile: async () => must().seen.toString("utf8"),
      writeFile: async (text: string) => write(must(), () => Buffer.from(text)),
      datasync: async () => syncFile(must()),
      async sync() {
        gone();
        if (file === null) syncNames(path);
        else syncFile(file);
      },
      close: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
    return handle as unknown as FileHandle;
  }

  const disk = {
    async open(path: string, flags: string | number) {
      gone();
      const known = names.get(path);
      // O_CREAT, or "wx"; "r" of what is no file is a folder.
      const makes = flags === "wx" || (typeof flags === "number" && (flags & 0o100) !== 0);
      if (known !== undefined || flags === "r") return handleOf(path, known ?? null);
      if (!makes) throw missing();
      const made = stored(Buffer.alloc(0));
      change(path, (to) => to.set(path, made));
      return handleOf(path, made);
    },
    async rename(from: string, to: string) {
      gone();
      const file = names.get(from);
      if (file === undefined) throw missing();
      change(to, (list) => {
        list.delete(from);
        list.set(to, file);
      });
    },
    async rm(path: string) {
      gone();
      if (names.has(path)) change(path, (list) => list.delete(path));
    },
    mkdir: async () => undefined,
  };
  return {
    ...(disk as unknown as Disk),
    bytes: (path) => names.get(path)?.seen ?? null,
    loosePower(keeps) {
      // Changes of names come to the disk in their order, as far as they come.
      for (const { apply } of renames) {
        if (!keeps()) break;
        apply(safeNames);
      }
      const left = new Map<string, Buffer>();
      for (const [path, file] of safeNames) {
        let bytes = file.safe;
        for (const apply of file.pending) if (keeps()) bytes = apply(bytes);
        left.set(path, bytes);
      }
      return failingDisk(() => {}, left);
    },
  };
}
