import type { Command } from "../arguments/command.ts";
import { aliasCommand } from "./alias.ts";
import { benchCommand } from "./bench.ts";
import { completionCommand } from "./completion.ts";
import { connectCommand } from "./connect.ts";
import { doctorCommand } from "./doctor.ts";
import { engineCommand } from "./engine.ts";
import { joinCommand } from "./join.ts";
import { keyCommand } from "./key.ts";
import { loadCommand, unloadCommand } from "./load.ts";
import { LOOK_COMMANDS } from "./look.ts";
import { logsCommand } from "./logs.ts";
import { MEMBER_COMMANDS } from "./members.ts";
import { planCommand } from "./plan.ts";
import { pullCommand } from "./pull.ts";
import { rmCommand } from "./rm.ts";
import { runCommand } from "./run.ts";
import { serviceCommand } from "./service.ts";
import { verifyCommand } from "./verify.ts";

/** Every command there is. */
export const COMMANDS: readonly Command[] = [
  joinCommand,
  ...LOOK_COMMANDS,
  ...MEMBER_COMMANDS,
  keyCommand,
  planCommand,
  loadCommand,
  unloadCommand,
  aliasCommand,
  runCommand,
  pullCommand,
  rmCommand,
  verifyCommand,
  benchCommand,
  connectCommand,
  doctorCommand,
  engineCommand,
  logsCommand,
  serviceCommand,
  completionCommand(() => COMMANDS),
];
