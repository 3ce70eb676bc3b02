import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { plainText } from "../plain-text.ts";

/** Names that Windows keeps for devices, whatever follows the dot, or the blanks before it. */
const RESERVED = /^(?:con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|conin\$|conout\$) *(?:\.|$)/iu;
/** What one part of a path may be made of on every system we run on. */
// oxlint-disable-next-line no-control-regex
const PART = /^[^\u0000-\u001F\u007F<>:"/\\|?*]{1,200}$/u;

/** Where a file of a repository goes below the models folder. Throws `usage` for a name that would lead elsewhere, or nowhere. */
export function pullPath(modelsDir: string, repo: string, file: string): string {
  const parts = [...repo.split("/"), ...file.split("/")];
  const bad = parts.find(
    (part) => !PART.test(part) || !part.isWellFormed() || /^\.{1,2}$|[. ]$/u.test(part) || RESERVED.test(part),
  );
  if (bad !== undefined)
    throw new ClusterdError("usage", `${plainText(repo, 120)} has a file that cannot be kept here: ${plainText(file, 200)}.`);
  return join(modelsDir, ...parts);
}
