import { asClusterdError } from "@clusterd/wire";
import { enginePlatform, findBuildTools, findEngine, probeGpus, type Engine } from "@clusterd/engine";
import type { EngineFacts } from "../facts.ts";

/** Looks at what is there; builds nothing. */
export async function gatherEngine(signal: AbortSignal): Promise<EngineFacts & { readonly accelerators: Engine["devices"] }> {
  const platform = enginePlatform();
  const gpuNotes = platform === null ? [] : probeGpus(platform.name).notes;
  const tools = await findBuildTools().then(
    () => ({ missing: [], install: null }),
    (error: unknown) => {
      const { details, next } = asClusterdError(error);
      return { missing: (details?.["missing"] as readonly string[] | undefined) ?? [], install: next ?? null };
    },
  );
  try {
    const engine = await findEngine({ signal });
    const built =
      engine === null
        ? null
        : {
            llamaCpp: engine.llamaCpp,
            devices: engine.devices.map(({ id, name }) => `${id} ${name}`),
            localWeights: engine.localWeights,
            notes: engine.notes,
          };
    return { built, ...tools, error: null, gpuNotes, accelerators: engine?.devices ?? [] };
  } catch (error) {
    return { built: null, ...tools, error: asClusterdError(error).message, gpuNotes, accelerators: [] };
  }
}
