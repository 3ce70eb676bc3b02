import { createHash } from "node:crypto";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { launchdService } from "./launchd.ts";
import type { ServiceManager, ServiceSpec } from "./service-manager.ts";
import { systemdService } from "./systemd.ts";
import { windowsService } from "./windows-task.ts";

const NAME_LETTERS = 8;

/** `clusterd`, or for another home than the user's usual one a name of its own: a machine may run several. */
export function serviceName(home: string, usualHome: string): string {
  if (home === usualHome) return "clusterd";
  return `clusterd-${createHash("sha256").update(home).digest("hex").slice(0, NAME_LETTERS)}`;
}

/** What keeps services on this machine. Throws `unsupported` where nothing known does. */
export function chooseManager(spec: ServiceSpec, home: string, env: NodeJS.ProcessEnv): ServiceManager {
  const { uid, username } = userInfo();
  switch (process.platform) {
    case "linux":
      return systemdService(spec, { uid, user: username, configFolder: env["XDG_CONFIG_HOME"] || join(homedir(), ".config") });
    case "darwin":
      return launchdService(spec, { uid, userHome: homedir() });
    case "win32":
      return windowsService(spec, { user: `${env["USERDOMAIN"] ?? "."}\\${username}`, folder: home });
    default:
      throw new ClusterdError("unsupported", `clusterd knows no service manager of ${process.platform}.`, {
        next: "Start it from the system's own start-up: clusterd join --detach",
      });
  }
}
