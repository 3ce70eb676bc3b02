import { stampOf } from "./shards/file-stamp.ts";

/** Folders and files that are looked at; what is beyond is found when all is listed anew. */
const LOOKED_MAX = 8192;

/** Tells whether folders and files are as they were when they were read: a folder's time of change is that of the last name that came or went. */
export interface DiskWatch {
  /** Just before it is read. */
  note(path: string): void;
  /** Whether any has changed, has gone or has come since. */
  changed(): Promise<boolean>;
}

export function createDiskWatch(): DiskWatch {
  const looked = new Map<string, Promise<string | null>>();
  return {
    note(path) {
      if (looked.size < LOOKED_MAX && !looked.has(path)) looked.set(path, stampOf([path]));
    },
    async changed() {
      for (const [path, stamp] of looked) if ((await stampOf([path])) !== (await stamp)) return true;
      return false;
    },
  };
}
