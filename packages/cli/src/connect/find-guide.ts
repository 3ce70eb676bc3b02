import { ClusterdError } from "@clusterd/wire";
import { suggest } from "../arguments/suggest.ts";
import type { ClientGuide } from "./client-guide.ts";
import { LIBRARIES } from "./libraries.ts";
import { PROGRAMS } from "./programs.ts";

/** Every client there is a guide for. */
export const GUIDES: readonly ClientGuide[] = [...LIBRARIES, ...PROGRAMS];

/** The guide of a client, by any of its names. Throws `not_found` with the names there are. */
export function findGuide(named: string): ClientGuide {
  const wanted = named
    .trim()
    .toLowerCase()
    .replace(/[\s_]+/g, "-");
  const found = GUIDES.find(({ name, otherNames }) => name === wanted || otherNames.includes(wanted));
  if (found !== undefined) return found;
  const meant = suggest(
    wanted,
    GUIDES.flatMap(({ name, otherNames }) => [name, ...otherNames]),
  );
  throw new ClusterdError("not_found", `There is no guide for ${JSON.stringify(named)}.`, {
    next: `${meant === undefined ? "" : `Did you mean ${meant}? `}There are: ${GUIDES.map(({ name }) => name).join(", ")}. Any other that lets you choose an OpenAI base URL works as well.`,
  });
}
