import { win32 } from "node:path";
import type { ServiceManager, ServiceSpec } from "./service-manager.ts";
import { xmlText } from "./xml-text.ts";

export interface WindowsPlace {
  /** `DOMAIN\user`. */
  readonly user: string;
  /** Where the task's definition is kept. */
  readonly folder: string;
}

/** A task of the user's that starts at the log-on: a real service would need a program that answers the service manager. */
export function windowsService(spec: ServiceSpec, { user, folder }: WindowsPlace): ServiceManager {
  const file = win32.join(folder, `${spec.name}-task.xml`);
  const task = (...args: readonly string[]): readonly string[] => ["schtasks", ...args];
  return {
    kind: "scheduled task",
    file,
    content: `\uFEFF${taskText(spec, user)}`,
    encoding: "utf16le",
    install: [
      { command: task("/End", "/TN", spec.name), mayFail: null },
      { command: task("/Create", "/TN", spec.name, "/XML", file, "/F") },
      { command: task("/Run", "/TN", spec.name) },
    ],
    uninstall: {
      before: [
        { command: task("/End", "/TN", spec.name), mayFail: null },
        { command: task("/Delete", "/TN", spec.name, "/F"), mayFail: null },
      ],
      after: [],
    },
    // What schtasks prints is in the system's language; this is not.
    query: {
      command: [
        "powershell",
        "-NoProfile",
        "-Command",
        `[string](Get-ScheduledTask -TaskName '${spec.name}' -ErrorAction Stop).State`,
      ],
    },
    readStatus(output, succeeded) {
      return { installed: succeeded, running: succeeded && output.trim() === "Running", pid: null };
    },
    notes: ["It starts when you log on and ends when you log off.", `What it prints: ${spec.logFile}`],
  };
}

/** A command line as `CommandLineToArgvW` splits it: backslashes count only before quotes. */
export function windowsCommandLine(words: readonly string[]): string {
  return words.map((word) => `"${word.replaceAll(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1")}"`).join(" ");
}

function taskText({ command: [program = "", ...args], workingFolder, environment, logFile }: ServiceSpec, user: string): string {
  const sets = Object.entries(environment).map(([name, value]) => `set "${name}=${value}"&& `);
  // A task keeps nothing of what its program prints, and has no environment of its own: a shell gives it both.
  const shell = `/d /s /c "${sets.join("")}${windowsCommandLine([program, ...args])} >> "${logFile}" 2>&1"`;
  return [
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">',
    "  <RegistrationInfo><Description>clusterd: one language model over the machines you own</Description></RegistrationInfo>",
    `  <Triggers><LogonTrigger><UserId>${xmlText(user)}</UserId></LogonTrigger></Triggers>`,
    `  <Principals><Principal id="Author"><UserId>${xmlText(user)}</UserId><LogonType>InteractiveToken</LogonType></Principal></Principals>`,
    "  <Settings>",
    "    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>",
    "    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>",
    "    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>",
    "    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>",
    "    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>",
    "    <Priority>6</Priority>",
    "  </Settings>",
    '  <Actions Context="Author">',
    "    <Exec>",
    "      <Command>cmd.exe</Command>",
    `      <Arguments>${xmlText(shell)}</Arguments>`,
    `      <WorkingDirectory>${xmlText(workingFolder)}</WorkingDirectory>`,
    "    </Exec>",
    "  </Actions>",
    "</Task>",
    "",
  ].join("\r\n");
}
