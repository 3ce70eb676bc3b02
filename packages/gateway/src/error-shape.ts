import { errorBody, type HttpRefusal } from "./http-refusal.ts";

/** A refusal as the API of a path tells its clients. */
export function errorText(path: string, refusal: HttpRefusal): string {
  // The numbers of a refusal are for clusterd's own tools; OpenAI's clients get the shape they know.
  return errorBody(refusal, { details: path.startsWith("/cluster/") });
}
