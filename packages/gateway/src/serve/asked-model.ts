import type { Context } from "hono";
import type { GatewayEnv } from "../gateway-env.ts";
import { checkModel, mayUse } from "../key-limits.ts";
import { modelNamed } from "../routes/model-routes.ts";
import type { Service } from "./service.ts";

/**
 * The model that a request's name means, an alias led to its target; it is what the request is logged with. Throws where there is none,
 * or where the request's key is not for it.
 */
export function askedModel({ backend }: Service, c: Context<GatewayEnv>, asked: string, conversation: string | null): string {
  const name = backend.aliases.meant(asked, conversation);
  if (!mayUse(c.get("caller"), asked)) checkModel(c.get("caller"), name, backend);
  c.get("record").model = modelNamed(backend, name);
  return name;
}
