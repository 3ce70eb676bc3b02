import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { PARTS_MAX } from "../limits.ts";

/** A model that was here in parts and has become a plain one, all of it. */
export interface SettledModel {
  /** Of its first part. */
  readonly path: string;
  /** `OWNER/REPO:QUANT` where it is one of a hub; null: it is called as its file. */
  readonly id: string | null;
}

const RECORD = "settling.json";

interface Move {
  readonly id: string | null;
  /** The parts' names in the folder, and where they go, from the folder above it. */
  readonly names: readonly string[];
  readonly targets: readonly string[];
}

/** Writes down that a folder's files, complete and verified, are to lie elsewhere: from here on a kill costs nothing. */
export async function beginSettling(
  folder: string,
  { id, names, targets }: { readonly id: string | null; readonly names: readonly string[]; readonly targets: readonly string[] },
): Promise<void> {
  for (const target of targets)
    if ((await stat(target).catch(() => null)) !== null)
      throw new ClusterdError("invalid_request", `There is another file already: ${target}.`, {
        next: "Move it away, or delete it; what was fetched is kept.",
      });
  const move: Move = { id, names, targets: targets.map((target) => relative(dirname(folder), target)) };
  const temporary = join(folder, `${RECORD}.tmp`);
  {
    await using out = await open(temporary, "w");
    await out.writeFile(JSON.stringify(move));
    await out.datasync();
  }
  await rename(temporary, join(folder, RECORD));
}

/** Gives a folder's files the places that were written down for them, and deletes the rest of it; null where nothing was. */
export async function settle(folder: string): Promise<SettledModel | null> {
  const move = parseMove(await readFile(join(folder, RECORD), "utf8").catch(() => ""));
  if (move === null) return null;
  const above = dirname(folder);
  const places = move.targets.map((target) => resolve(above, target));
  // A record is a file as any other: what it names must lie in the models folder.
  if (places.some((place) => !place.startsWith(dirname(above) + sep) || place.startsWith(above + sep))) return null;
  for (const [part, name] of move.names.entries()) {
    const place = places[part] ?? "";
    await mkdir(dirname(place), { recursive: true });
    // Those that are not there any more have moved before.
    await rename(join(folder, name), place).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT" || (await stat(place).catch(() => null)) === null) throw error;
    });
  }
  await rm(folder, { recursive: true, force: true });
  return { path: places[0] ?? "", id: move.id };
}

function parseMove(text: string): Move | null {
  try {
    const { id, names, targets } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const isList = (value: unknown): value is readonly string[] =>
      Array.isArray(value) && value.length > 0 && value.length <= PARTS_MAX && value.every((one) => typeof one === "string");
    if (!isList(names) || !isList(targets) || names.length !== targets.length) return null;
    if (!names.every((name) => /^[\w][\w.+ -]{0,199}$/u.test(name))) return null;
    return id === null || typeof id === "string" ? { id, names, targets } : null;
  } catch {
    // None, or damaged: the folder is what it was.
    return null;
  }
}
