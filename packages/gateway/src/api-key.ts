import { createHash, timingSafeEqual } from "node:crypto";
import { HttpRefusal } from "./http-refusal.ts";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

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

/** A check that lets through requests with the right key. Takes the same time for any wrong key. */
export function keyCheck(apiKey: string | null): (request: Request, options: { readonly page: boolean }) => void {
  if (apiKey === null) return () => {};
  const right = digest(apiKey);
  return (request, { page }) => {
    const key = keyOf(request.headers);
    if (key !== null && timingSafeEqual(digest(key), right)) return;
    const message = key === null ? "An API key is needed: send `Authorization: Bearer KEY`." : "This API key is not known here.";
    // Only a page may make the browser ask: for a program the challenge would hide the error behind a prompt.
    throw new HttpRefusal(401, "invalid_api_key", message, {
      headers: { "www-authenticate": page ? 'Basic realm="clusterd", charset="UTF-8"' : "Bearer" },
    });
  };
}
