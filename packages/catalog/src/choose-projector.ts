import { posix } from "node:path";

/** Whether a file's name says that it lets a model see or hear, and is none itself: `mmproj-model-f16.gguf` and the like. */
export function isProjectorName(path: string): boolean {
  return /(^|[-_.])mmproj([-_.].*)?\.gguf$/i.test(posix.basename(path));
}

/** What is usual among the precisions of one projector: as good as the original, and half its size. */
const PRECISIONS: readonly RegExp[] = [
  /(?:^|[-_.])f16(?:[-_.]|$)/iu,
  /(?:^|[-_.])bf16(?:[-_.]|$)/iu,
  /(?:^|[-_.])(?:f32|fp32)(?:[-_.]|$)/iu,
];

/**
 * The projector of a model among the files of its repository (paths with slashes): of those in its own folder or one above, the best; null where
 * there is none. (llama.cpp chooses by folder and bits as well: `find_best_mmproj` in common/download.cpp.)
 */
export function chooseProjector(model: string, files: readonly string[]): string | null {
  const folder = posix.dirname(model);
  const isAbove = (path: string): boolean => posix.dirname(path) === "." || `${folder}/`.startsWith(`${posix.dirname(path)}/`);
  const [best] = files.filter((path) => isProjectorName(path) && isAbove(path)).toSorted(likelier(model));
  return best ?? null;
}

/** The likelier projector first: the one that shares most folders with the model, then most of its name, then F16, BF16, F32. */
export function likelier(model: string): (a: string, b: string) => number {
  const depth = (path: string): number => path.split("/").length;
  const precision = (path: string): number => {
    const at = PRECISIONS.findIndex((each) => each.test(posix.basename(path).replace(/\.gguf$/iu, "")));
    return at < 0 ? PRECISIONS.length : at;
  };
  return (a, b) =>
    depth(b) - depth(a) || sharedName(model, b) - sharedName(model, a) || precision(a) - precision(b) || (a < b ? -1 : 1);
}

/** Letters that a projector's name shares with a model's from the start, its own mark and precision left out. */
function sharedName(model: string, projector: string): number {
  const plain = (path: string): string =>
    posix
      .basename(path)
      .toLowerCase()
      .replace(/(^|[-_.])mmproj[-_.]?/, "");
  const [name, rest] = [plain(model), plain(projector).replace(/[-_.]?(?:b?f16|fp?32|q8_0)?\.gguf$/u, "")];
  let length = 0;
  while (length < rest.length && rest[length] === name[length]) length += 1;
  return length;
}
