import { ClusterdError } from "@clusterd/wire";
import type { Route } from "../backend.ts";
import type { GenerationRequest } from "../request/generation-request.ts";

/** Refuses what the model named is not made for. */
export function checkAbility({ model, embeddings = false }: Route, { makes = "text" }: GenerationRequest): void {
  if (embeddings === (makes === "embeddings")) return;
  const what = embeddings ? "makes embeddings; it generates no text" : "generates text; it makes no embeddings";
  throw new ClusterdError("unsupported", `${model} ${what}.`, { param: "model" });
}
