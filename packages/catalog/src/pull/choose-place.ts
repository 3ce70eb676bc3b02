import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { plainText } from "../plain-text.ts";
import { partName } from "../split-parts.ts";
import { BESIDE, folderOf, pulledFiles, recordPulled, type PulledFile } from "./pulled-files.ts";
import { pulledPath } from "./pulled-models.ts";
import { sizeOf } from "./size-of.ts";

/** A file of a repository that belongs here. */
export interface WantedFile {
  readonly path: string;
  readonly bytes: number;
  /** Null: the hub does not tell. */
  readonly sha256: string | null;
  readonly quantisation: string;
}

export interface PlaceQuestion {
  readonly modelsDir: string;
  readonly repo: string;
  readonly commit: string;
  readonly quantisation: string;
  readonly wanted: readonly WantedFile[];
}

export interface Place {
  /** Below the repository's folder. */
  readonly folder: string;
  /** SHA-256 of what is there already, by its path in the repository. */
  readonly here: ReadonlyMap<string, string>;
}

const COMMIT_LENGTH = 12;

/**
 * Where a model's files go: where they are already; else into the repository's folder, unless that has other files under their names: those may
 * be in use, may be a person's own, and are what another revision means. Then into a folder of this commit.
 */
export async function choosePlace(question: PlaceQuestion): Promise<Place> {
  const { modelsDir, repo, commit, quantisation, wanted } = question;
  const odd = wanted.find(({ path }) => path.startsWith("@"));
  if (odd !== undefined)
    throw new ClusterdError("usage", `${repo} has a file that cannot be kept here: ${plainText(odd.path, 200)}.`);
  const records = await pulledFiles(join(modelsDir, ...repo.split("/")));
  const ofCommit = `@${commit.slice(0, COMMIT_LENGTH)}`;
  const known = [...new Set(records.filter((file) => file.quantisation === quantisation).map(folderOf))];
  const own = wanted.filter((file) => file.quantisation !== BESIDE);
  // Where all of it is, whatever commit that came with.
  for (const folder of known) {
    const here = await filesHere(question, records, folder);
    if (own.every(({ path }) => here.has(path))) return { folder, here: withOlder(question, records, folder, here) };
  }
  const begun = known.filter((folder) =>
    records.some((file) => folderOf(file) === folder && own.some((each) => isSame(each, file, commit))),
  );
  for (const folder of new Set([...begun, "", ofCommit])) {
    if (await isFree(question, records, folder)) return { folder, here: await filesHere(question, records, folder) };
  }
  throw new ClusterdError("invalid_request", `Other files are where those of ${repo} at ${commit} go.`, {
    next: `Move away what is in ${pulledPath(modelsDir, repo, { path: ofCommit })}.`,
  });
}

const isSame = (wanted: WantedFile, known: PulledFile, commit: string): boolean =>
  known.path === wanted.path &&
  known.bytes === wanted.bytes &&
  (wanted.sha256 === null ? known.commit === commit : known.sha256 === wanted.sha256);

/** Of what is wanted, what is in a folder, by its records. */
async function filesHere(
  { modelsDir, repo, commit, wanted }: PlaceQuestion,
  records: readonly PulledFile[],
  folder: string,
): Promise<ReadonlyMap<string, string>> {
  const here = new Map<string, string>();
  for (const file of wanted) {
    const known = records.find((each) => folderOf(each) === folder && isSame(file, each, commit));
    if (known !== undefined && (await sizeOf(pulledPath(modelsDir, repo, known))) === file.bytes)
      here.set(file.path, known.sha256);
  }
  return here;
}

/** A projector that has changed since, beside a model that has not, stays as it is: it may be in use. */
function withOlder(
  { wanted }: PlaceQuestion,
  records: readonly PulledFile[],
  folder: string,
  here: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const older = wanted.flatMap(({ path, quantisation }) => {
    const known = records.find((each) => folderOf(each) === folder && each.path === path);
    return quantisation === BESIDE && known !== undefined && !here.has(path) ? [[path, known.sha256] as const] : [];
  });
  return new Map([...here, ...older]);
}

/** Whether nothing but these very files is under their names in a folder. What is there without a record is read. */
async function isFree(
  { modelsDir, repo, commit, quantisation, wanted }: PlaceQuestion,
  records: readonly PulledFile[],
  folder: string,
): Promise<boolean> {
  const there = records.filter((each) => folderOf(each) === folder);
  // The parts of a model lie together, and those of two commits apart.
  const others = there.filter((each) => each.quantisation === quantisation && !wanted.some((file) => isSame(file, each, commit)));
  const stems = new Set(wanted.map(({ path }) => partName(path)?.stem ?? path));
  if (others.some(({ path }) => stems.has(partName(path)?.stem ?? path))) return false;
  for (const file of wanted) {
    const known = there.find(({ path }) => path === file.path);
    if (known !== undefined) {
      if (!isSame(file, known, commit)) return false;
      continue;
    }
    const path = pulledPath(modelsDir, repo, { path: file.path, folder });
    const found = await lstat(path).catch(() => null);
    if (found === null) continue;
    if (!found.isFile() || found.size !== file.bytes || file.sha256 === null || (await sha256Of(path)) !== file.sha256)
      return false;
    // Whole and right, only not written down: the last try was stopped just then.
    const record = { path: file.path, bytes: file.bytes, sha256: file.sha256, commit, folder, revisions: [] };
    await recordPulled(join(modelsDir, ...repo.split("/")), { ...record, quantisation: file.quantisation });
  }
  return true;
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest("hex");
}
