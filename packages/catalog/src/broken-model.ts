import { basename } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { plainText } from "./plain-text.ts";

const FILE_NAME_LENGTH_MAX = 160;
const PROBLEM_LENGTH_MAX = 1200;

/** A file's name as messages show it. */
export function shownName(path: string): string {
  return plainText(basename(path), FILE_NAME_LENGTH_MAX);
}

/** The refusal of a model file: which file, what is wrong with it, what to do. Cleaned here, once: a problem may quote the file. */
export function brokenModel(path: string, problem: string, next?: string, cause?: unknown): ClusterdError {
  return new ClusterdError("model_broken", `${shownName(path)}: ${plainText(problem, PROBLEM_LENGTH_MAX)}`, {
    next: next ?? "fetch or convert the file again",
    details: { path: plainText(path, FILE_NAME_LENGTH_MAX * 4) },
    ...(cause === undefined ? {} : { cause }),
  });
}
