import { createHash, timingSafeEqual } from "node:crypto";
import type { KeyGrant } from "@clusterd/wire";
import { HttpRefusal } from "./http-refusal.ts";
import type { Keys } from "./keys.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
/** Longer than any key: what is sent is not hashed at any length. */
const KEY_LENGTH_MAX = 512;

/** What a request bears as a key: `x-api-key`, `Authorization: Bearer`, or the password of HTTP Basic, which browsers can be asked for. */
function keysOf(headers: Headers): readonly string[] {
  const direct = headers.get("x-api-key");
  const [scheme = "", value = ""] = (headers.get("authorization") ?? "").split(/ +/, 2);
  const sent = direct === null ? [] : [direct];
  if (scheme.toLowerCase() === "bearer") sent.push(value);
  if (scheme.toLowerCase() === "basic") {
    const pair = Buffer.from(value, "base64").toString("utf8");
    sent.push(pair.slice(pair.indexOf(":") + 1));
  }
  return sent;
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
  const grantOf = (key: string): KeyGrant | null => {
    if (key.length > KEY_LENGTH_MAX) return null;
    return home !== null && timingSafeEqual(digest(key), home) ? HOME_KEY : keys.check(key);
  };
  return (request, { page }) => {
    const sent = keysOf(request.headers);
    // Some clients send a key of their own making beside the right one.
    for (const key of sent) {
      const grant = grantOf(key);
      if (grant !== null) return grant;
    }
    if (home === null) return null;
    const message =
      sent.length === 0
        ? "An API key is needed: send `Authorization: Bearer KEY`."
        : "This API key is not known here, or was revoked.";
    // Only a page may make the browser ask: for a program the challenge would hide the error behind a prompt.
    throw new HttpRefusal(401, "invalid_api_key", message, {
      headers: { "www-authenticate": page ? 'Basic realm="clusterd", charset="UTF-8"' : "Bearer" },
    });
  };
}
