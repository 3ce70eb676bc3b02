import type { FlagSet } from "./command.ts";
import { text, toggle, type Flag } from "./flag.ts";

/** Flags of every command. */
export const GLOBAL_FLAGS: {
  readonly home: Flag<string | undefined>;
  readonly json: Flag<boolean>;
  readonly help: Flag<boolean>;
} & FlagSet = {
  home: text("DIR", "the daemon's home (default: $CLUSTERD_HOME, else ~/.clusterd)", { completes: "folder" }),
  json: toggle("print JSON for programs: one object, or one per line for streams"),
  help: toggle("explain this command", { short: "h" }),
};
