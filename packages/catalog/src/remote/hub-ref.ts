import { ClusterdError } from "@clusterd/wire";

/** `hf:OWNER/REPO[:QUANT][@REVISION]`, taken apart. */
export interface HubRef {
  readonly repo: string;
  readonly quantisation: string | null;
  readonly revision: string;
}

const DEFAULT_REVISION = "main";
const NAME = "[\\w][\\w.-]{0,95}";
const SHAPE = new RegExp(
  `^hf:(?<repo>${NAME}/${NAME})(?::(?<quantisation>[\\w.-]{1,64}))?(?:@(?<revision>[\\w./-]{1,120}))?$`,
  "u",
);

/** Throws `usage` for what has another shape. */
export function parseHubRef(ref: string): HubRef {
  const groups = SHAPE.exec(ref)?.groups;
  const revision = groups?.["revision"] ?? DEFAULT_REVISION;
  if (groups?.["repo"] === undefined || revision.split("/").includes("..")) {
    throw new ClusterdError("usage", `${JSON.stringify(ref.slice(0, 200))} is not hf:OWNER/REPO[:QUANT][@REVISION].`, {
      next: "For example: hf:unsloth/Qwen3-8B-GGUF:Q4_K_M",
    });
  }
  return { repo: groups["repo"], quantisation: groups["quantisation"] ?? null, revision };
}
