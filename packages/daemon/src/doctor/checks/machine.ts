import { check, HERE, hint, wrong, type Check } from "../check.ts";

const NODE_MAJOR_MIN = 24;

const nodeCheck: Check = check({
  name: "node",
  title: "Node's version",
  needs: ["runtime"],
  find({ runtime: { node, translated } }) {
    const old =
      Number(node.split(".")[0]) >= NODE_MAJOR_MIN
        ? []
        : [
            wrong(
              HERE,
              `Node ${node} runs clusterd`,
              `it needs Node ${NODE_MAJOR_MIN} or newer`,
              `Install Node ${NODE_MAJOR_MIN}: https://nodejs.org`,
            ),
          ];
    const strange = translated
      ? [
          wrong(
            HERE,
            "this Node is made for Intel processors and is translated",
            "the engine is then built for Intel as well: several times slower, and without the GPU",
            "Install Node for arm64: https://nodejs.org",
          ),
        ]
      : [];
    return [...old, ...strange];
  },
});

const engineCheck: Check = check({
  name: "engine",
  title: "the engine",
  needs: ["engine"],
  find({ engine: { built, missing, install, error } }) {
    if (error !== null)
      return [
        wrong(
          HERE,
          error,
          "without an engine this node runs no model",
          "Unset CLUSTERD_ENGINE_DIR, or let it name a folder with llama-server and rpc-server.",
        ),
      ];
    if (built === null && missing.length > 0)
      return [
        wrong(
          HERE,
          `there is no engine, and none can be built: ${missing.join(", ")} not found on PATH`,
          "without an engine this node runs no model",
          install ?? "Install what is missing.",
        ),
      ];
    if (built === null)
      return [
        hint(HERE, "the engine is not built yet", "the first start takes some minutes longer", "Build it now: clusterd engine"),
      ];
    return built.notes.map((note) =>
      hint(HERE, note, "the engine runs, but not as it could", "Remove the cause and build it again: clusterd engine"),
    );
  },
});

const acceleratorCheck: Check = check({
  name: "gpu",
  title: "graphics cards",
  needs: ["runtime", "engine"],
  find({ runtime, engine }) {
    const { built } = engine;
    const unused = engine.gpuNotes
      .filter((note) => built?.notes.includes(note) !== true)
      .map((note) =>
        hint(HERE, note, "the processor does the work of a card that is here", "Install what is missing, then: clusterd engine"),
      );
    const isApple = runtime.platform === "darwin" && runtime.arch === "arm64";
    const noMetal =
      isApple && built !== null && built.devices.length === 0
        ? [
            hint(
              HERE,
              "the engine lists no GPU on this Apple chip",
              "Metal reads memory several times as fast as the processor does",
              "Build it again, outside of a virtual machine: clusterd engine",
            ),
          ]
        : [];
    return [...unused, ...noMetal];
  },
});

const processorCheck: Check = check({
  name: "processor",
  title: "the processor's abilities",
  needs: ["runtime", "processor", "engine"],
  find({ runtime, processor: { model, flags, cores }, engine }) {
    // With a card the processor does little.
    if (flags === null || (engine.built?.devices.length ?? 0) > 0) return [];
    const needed = runtime.arch === "x64" ? ["avx2", "fma"] : runtime.arch === "arm64" ? ["asimddp"] : [];
    const missing = needed.filter((flag) => !flags.includes(flag));
    const slow =
      missing.length === 0
        ? []
        : [
            hint(
              HERE,
              `the processor (${model}) does not tell of ${missing.join(" and ")}`,
              "prompts are then read several times more slowly",
              "In a virtual machine: let it see the host's processor (type “host”). Otherwise give it few layers, or none.",
            ),
          ];
    const few =
      cores < 2
        ? [
            hint(
              HERE,
              "there is one processor core",
              "engine and daemon take turns on it",
              "Give the machine a second core if you can.",
            ),
          ]
        : [];
    return [...slow, ...few];
  },
});

export const MACHINE_CHECKS: readonly Check[] = [nodeCheck, engineCheck, acceleratorCheck, processorCheck];
