import { createHash, timingSafeEqual } from "node:crypto";
import type { KeyGrant } from "@clusterd/wire";
import { HttpRefusal } from "./http-refusal.ts";
import type { Keys } from "./keys.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
/** Longer than any key: what is sent is not hashed at any length. */
const KEY_LENGTH_MAX = 512;

/** The key a request bears: `Authorization: Bearer`, `x-api-key`, or the password of HTTP Basic, which browsers can be asked for. */
function keyOf(headers: Headers): string | null {
  const direct = headers.get("x-api-key");
  if (direct !== null) return direct;
  const [scheme = "", value = ""] = (headers.get("authorization") ?? "").split(/ +/, 2);
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return null;
  const pair = Buffer.from(value, "base64").toString("utf8");
  return pair.slice(pair.indexOf(":") + 1);
}

/** The key in the home of this node: of whoever runs it, without limits. */
const HOME_KEY: KeyGrant = {
  id: "home",
  name: "home",
  models: null,
  requestsPerMinute: null,
  tokensPerDay: null,
  isPrivate: false,
  mayControl: true,
};

/**
 * Whose key a request bears. With a home key every request needs one that is known; without (on loopback) a key that is not known
 * counts for nothing: many programs must be given one and send any. Takes the same time for any wrong key.
 */
export function keyCheck(
  homeKey: string | null,
  keys: Pick<Keys, "check">,
): (request: Request, options: { readonly page: boolean }) => KeyGrant | null {
  const home = homeKey === null ? null : digest(homeKey);
  return (request, { page }) => {
    const sent = keyOf(request.headers);
    const key = sent === null || sent.length > KEY_LENGTH_MAX ? null : sent;
    if (key !== null && home !== null && timingSafeEqual(digest(key), home)) return HOME_KEY;
    const grant = key === null ? null : keys.check(key);
    if (grant !== null || home === null) return grant;
    const message =
      sent === null
        ? "An API key is needed: send `Authorization: Bearer KEY`."
        : "This API key is not known here, or was revoked.";
    // Only a page may make the browser ask: for a program the challenge would hide the error behind a prompt.
    throw new HttpRefusal(401, "invalid_api_key", message, {
      headers: { "www-authenticate": page ? 'Basic realm="clusterd", charset="UTF-8"' : "Bearer" },
    });
  };
}
