import { ClusterdError } from "@clusterd/wire";

/** Which hub, and as whom. */
export interface HubConfig {
  /** Without a slash at the end. */
  readonly endpoint: string;
  readonly token: string | null;
  /** Only what was read before is used. */
  readonly offline: boolean;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";

/** `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`, as the hub's own tools read them. Throws `usage` for values that cannot be meant. */
export function hubConfig(env: Readonly<Record<string, string | undefined>>): HubConfig {
  const given = env["HF_ENDPOINT"]?.trim() || DEFAULT_ENDPOINT;
  const url = URL.canParse(given) ? new URL(given) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.username !== "" || url.search !== "")
    throw new ClusterdError("usage", "HF_ENDPOINT is not an address beginning with https:// or http://.", {
      next: `Unset it, or set it to the address of a mirror of ${DEFAULT_ENDPOINT}.`,
    });
  const token = env["HF_TOKEN"]?.trim() || null;
  if (token !== null && !/^[\x21-\x7E]+$/u.test(token))
    throw new ClusterdError("usage", "HF_TOKEN is no token: it holds spaces or unprintable characters.");
  const offline = ["1", "true", "yes", "on"].includes((env["HF_HUB_OFFLINE"] ?? "").trim().toLowerCase());
  return { endpoint: `${url.origin}${url.pathname.replace(/\/+$/u, "")}`, token, offline };
}
