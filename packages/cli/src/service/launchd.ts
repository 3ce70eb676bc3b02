import { join } from "node:path";
import type { ServiceManager, ServiceSpec } from "./service-manager.ts";
import { xmlText } from "./xml-text.ts";

const THROTTLE_SECONDS = 5;
const STOP_SECONDS = 40;

export interface LaunchdPlace {
  readonly uid: number;
  readonly userHome: string;
}

/** An agent of the user's, or a daemon of the machine for root. */
export function launchdService(spec: ServiceSpec, { uid, userHome }: LaunchdPlace): ServiceManager {
  const isRoot = uid === 0;
  const label = `dev.${spec.name}`;
  const file = join(isRoot ? "/Library/LaunchDaemons" : join(userHome, "Library/LaunchAgents"), `${label}.plist`);
  const domain = isRoot ? "system" : `gui/${uid}`;
  return {
    kind: isRoot ? "launchd daemon" : "launchd agent",
    file,
    content: propertyList(label, spec),
    encoding: "utf8",
    install: [
      { command: ["launchctl", "bootout", `${domain}/${label}`], mayFail: null },
      { command: ["launchctl", "bootstrap", domain, file] },
    ],
    uninstall: {
      before: [{ command: ["launchctl", "bootout", `${domain}/${label}`], mayFail: null }],
      after: [],
    },
    query: { command: ["launchctl", "print", `${domain}/${label}`] },
    readStatus(output, succeeded) {
      const pid = Number(/^\s*pid = (\d+)\s*$/m.exec(output)?.[1] ?? 0);
      return { installed: succeeded, running: /^\s*state = running\s*$/m.test(output), pid: pid > 0 ? pid : null };
    },
    notes: [
      `What it prints: ${spec.logFile}`,
      ...(isRoot ? [] : ["An agent runs while you are logged in; with sudo it is installed for the machine, from its start on."]),
    ],
  };
}

function propertyList(label: string, { command, workingFolder, environment, logFile }: ServiceSpec): string {
  const string = (text: string): string => `<string>${xmlText(text)}</string>`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    "<dict>",
    `  <key>Label</key>${string(label)}`,
    "  <key>ProgramArguments</key>",
    "  <array>",
    ...command.map((word) => `    ${string(word)}`),
    "  </array>",
    `  <key>WorkingDirectory</key>${string(workingFolder)}`,
    "  <key>EnvironmentVariables</key>",
    "  <dict>",
    ...Object.entries(environment).map(([name, value]) => `    <key>${xmlText(name)}</key>${string(value)}`),
    "  </dict>",
    "  <key>RunAtLoad</key><true/>",
    "  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>",
    `  <key>ThrottleInterval</key><integer>${THROTTLE_SECONDS}</integer>`,
    `  <key>ExitTimeOut</key><integer>${STOP_SECONDS}</integer>`,
    // A background process is given little of the processors and the disk.
    "  <key>ProcessType</key><string>Interactive</string>",
    `  <key>StandardOutPath</key>${string(logFile)}`,
    `  <key>StandardErrorPath</key>${string(logFile)}`,
    "</dict>",
    "</plist>",
    "",
  ].join("\n");
}
