import { ClusterdError, parseHubName } from "@clusterd/wire";

/** `hf:OWNER/REPO[:QUANT][@REVISION]`, taken apart. */
export interface HubRef {
  readonly repo: string;
  readonly quantisation: string | null;
  readonly revision: string;
}

export const DEFAULT_REVISION = "main";

/** `hf:` may be left out. Throws `usage` for what has another shape. */
export function parseHubRef(ref: string): HubRef {
  const name = parseHubName(ref);
  const revision = name?.revision ?? DEFAULT_REVISION;
  if (name === null || revision.split("/").some((part) => ["", ".", ".."].includes(part))) {
    throw new ClusterdError("usage", `${JSON.stringify(ref.slice(0, 200))} is not hf:OWNER/REPO[:QUANT][@REVISION].`, {
      next: "For example: hf:unsloth/Qwen3-8B-GGUF:Q4_K_M",
    });
  }
  return { repo: name.repo, quantisation: name.quantisation, revision };
}
