import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { TOKEN_FILE_BYTES_MAX } from "./hub-limits.ts";
import { isInternalHost } from "./internal-address.ts";
import { proxySettings, type ProxySettings } from "./proxy-settings.ts";

/** Which hub, as whom, and by which way. */
export interface HubConfig {
  /** Without a slash at the end. */
  readonly endpoint: string;
  readonly token: string | null;
  /** Where the token is from, for messages; absent: `HF_TOKEN`. */
  readonly tokenFrom?: string;
  /** Only what was read before is used. */
  readonly offline: boolean;
  /** Absent: none. */
  readonly proxies?: ProxySettings;
}

type Env = Readonly<Record<string, string | undefined>>;

const DEFAULT_ENDPOINT = "https://huggingface.co";

/**
 * `HF_ENDPOINT`, `HF_TOKEN` (or the file that the hub's own tools keep a login in) and `HF_HUB_OFFLINE`, as those tools read them, and the
 * proxies' variables. Throws `usage` for values that cannot be meant.
 */
export function hubConfig(env: Env): HubConfig {
  const given = env["HF_ENDPOINT"]?.trim() || DEFAULT_ENDPOINT;
  const url = URL.canParse(given) ? new URL(given) : null;
  const isAddress = url !== null && ["http:", "https:"].includes(url.protocol);
  if (!isAddress || url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw new ClusterdError("usage", "HF_ENDPOINT is not an address beginning with https:// or http://.", {
      next: `Unset it, or set it to the address of a mirror of ${DEFAULT_ENDPOINT}.`,
    });
  const { token, from } = tokenOf(env, url);
  if (token !== null && !/^[\x21-\x7E]+$/u.test(token))
    throw new ClusterdError("usage", `${from} is no token: it holds spaces or unprintable characters.`);
  if (token !== null && url.protocol === "http:" && !isInternalHost(url.hostname))
    throw new ClusterdError("usage", `HF_ENDPOINT begins with http://, and all between could read the token in ${from}.`, {
      next: "Use https://, or unset the token.",
    });
  const proxies = proxySettings(env);
  return {
    endpoint: `${url.origin}${url.pathname.replace(/\/+$/u, "")}`,
    token,
    ...(token === null || from === "HF_TOKEN" ? {} : { tokenFrom: from }),
    offline: isOn(env["HF_HUB_OFFLINE"]) || isOn(env["TRANSFORMERS_OFFLINE"]),
    ...(proxies === null ? {} : { proxies }),
  };
}

const isOn = (value: string | undefined): boolean => ["1", "true", "yes", "on"].includes((value ?? "").trim().toLowerCase());

/**
 * Said in the environment it is for whatever endpoint is; one from a file that was named there too. What a login of the hub's tools has left
 * is for the hub it was made at.
 */
function tokenOf(env: Env, endpoint: URL): { readonly token: string | null; readonly from: string } {
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const said = env[name]?.trim();
    if (said !== undefined && said !== "") return { token: said, from: name };
  }
  const named = env["HF_TOKEN_PATH"]?.trim();
  if (named !== undefined && named !== "") return { token: tokenIn(named), from: named };
  if (endpoint.origin !== DEFAULT_ENDPOINT || isOn(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"])) return { token: null, from: "" };
  const user = env["HOME"] ?? env["USERPROFILE"];
  const caches = env["XDG_CACHE_HOME"] ?? (user === undefined ? undefined : join(user, ".cache"));
  const home = env["HF_HOME"] ?? (caches === undefined ? undefined : join(caches, "huggingface"));
  if (home === undefined) return { token: null, from: "" };
  return { token: tokenIn(join(home, "token")), from: join(home, "token") };
}

/** The token in a file; null where there is none. */
function tokenIn(path: string): string | null {
  try {
    const found = statSync(path);
    if (!found.isFile() || found.size > TOKEN_FILE_BYTES_MAX) return null;
    return readFileSync(path, "utf8").trim() || null;
  } catch {
    // Not logged in, or not readable: asked as nobody.
    return null;
  }
}
