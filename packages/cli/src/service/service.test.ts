import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, test as once } from "vitest";
import { joinWords } from "../commands/service.ts";
import { serviceName } from "./choose-manager.ts";
import { launchdService } from "./launchd.ts";
import type { ServiceSpec } from "./service-manager.ts";
import { systemdService } from "./systemd.ts";
import { windowsCommandLine, windowsService } from "./windows-task.ts";

const spec = (more: Partial<ServiceSpec> = {}): ServiceSpec => ({
  name: "clusterd",
  command: ["/usr/bin/node", "/opt/clusterd/main.ts", "join", "--name", 'Ann\'s "50 %" $HOME <pi> & co'],
  workingFolder: "/home/ann",
  environment: { PATH: "/usr/bin:/bin" },
  logFile: "/home/ann/.clusterd/logs/daemon.log",
  ...more,
});
/** Any text that a command line can carry. */
const word = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((text) => !/[\0\r\n]/.test(text));

describe("a unit of systemd", () => {
  const unit = systemdService(spec(), { uid: 1000, user: "ann", configFolder: "/home/ann/.config" });

  test("is the user's, or root's", () => {
    expect(unit.file).toBe("/home/ann/.config/systemd/user/clusterd.service");
    expect(unit.install.map(({ command }) => command.join(" "))).toEqual([
      "systemctl --user daemon-reload",
      "systemctl --user enable clusterd.service",
      "systemctl --user restart clusterd.service",
      "loginctl enable-linger ann",
    ]);
    const machine = systemdService(spec(), { uid: 0, user: "root", configFolder: "/home/ann/.config" });
    expect(machine.file).toBe("/etc/systemd/system/clusterd.service");
    expect(machine.content).toContain("WantedBy=multi-user.target");
    expect(machine.install.at(-1)?.command.join(" ")).toBe("systemctl restart clusterd.service");
  });

  test.prop([fc.array(word, { minLength: 1, maxLength: 6 })])("any command line comes out of it as it went in", (words) => {
    const { content } = systemdService(spec({ command: words }), { uid: 0, user: "root", configFolder: "/c" });
    const line = /^ExecStart=(.*)$/m.exec(content)?.[1] ?? "";
    const read = [...line.matchAll(/"((?:[^"\\]|\\.)*)"(?: |$)/g)].map(([, text = ""]) =>
      text.replaceAll(/\\(.)/g, "$1").replaceAll("$$", "$").replaceAll("%%", "%"),
    );
    expect(read).toEqual(words);
  });

  test("its state is read from what systemctl shows", () => {
    const shown = "LoadState=loaded\nActiveState=active\nMainPID=4711\n";
    expect(unit.readStatus(shown, true)).toEqual({ installed: true, running: true, pid: 4711 });
    expect(unit.readStatus("LoadState=not-found\nActiveState=inactive\nMainPID=0\n", true)).toEqual({
      installed: false,
      running: false,
      pid: null,
    });
    expect(unit.readStatus("", false)).toEqual({ installed: false, running: false, pid: null });
  });

  once.skipIf(spawnSync("systemd-analyze", ["--version"]).status !== 0)("systemd finds nothing wrong with it", () => {
    const file = join(mkdtempSync(join(tmpdir(), "clusterd-unit-")), "clusterd.service");
    const verify = (command: readonly string[]): string => {
      writeFileSync(
        file,
        systemdService(spec({ command, workingFolder: "/" }), { uid: 0, user: "root", configFolder: "/" }).content,
      );
      return spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8" }).stderr;
    };
    const about = (text: string): readonly string[] => text.split("\n").filter((line) => line.includes("clusterd.service"));
    expect(about(verify([process.execPath, ...spec().command.slice(1)]))).toEqual([]);
    expect(about(verify(["/nowhere/node"]))).not.toEqual([]);
  });
});

describe("a job of launchd", () => {
  test("runs the command, again when it fails, and its property list is well-formed", () => {
    const agent = launchdService(spec(), { uid: 501, userHome: "/Users/ann" });
    expect(agent.file).toBe("/Users/ann/Library/LaunchAgents/dev.clusterd.plist");
    expect(agent.content).toContain("<string>Ann&apos;s &quot;50 %&quot; $HOME &lt;pi&gt; &amp; co</string>");
    expect(agent.content).toContain("<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>");
    expect(agent.install.map(({ command }) => command.join(" "))).toEqual([
      "launchctl bootout gui/501/dev.clusterd",
      "launchctl bootstrap gui/501 /Users/ann/Library/LaunchAgents/dev.clusterd.plist",
    ]);
    const python = "import plistlib,sys,json; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())['ProgramArguments']))";
    const read = spawnSync("python3", ["-c", python], { input: agent.content, encoding: "utf8" });
    if (read.error === undefined) expect(JSON.parse(read.stdout)).toEqual(spec().command);
    expect(launchdService(spec(), { uid: 0, userHome: "/var/root" }).file).toBe("/Library/LaunchDaemons/dev.clusterd.plist");
  });

  test("its state is read from what launchctl prints", () => {
    const { readStatus } = launchdService(spec(), { uid: 501, userHome: "/Users/ann" });
    const printed =
      "gui/501/dev.clusterd = {\n\tactive count = 1\n\tstate = running\n\n\tprogram = /usr/bin/node\n\tpid = 812\n}\n";
    expect(readStatus(printed, true)).toEqual({ installed: true, running: true, pid: 812 });
    expect(readStatus("gui/501/dev.clusterd = {\n\tstate = not running\n}\n", true)).toEqual({
      installed: true,
      running: false,
      pid: null,
    });
    expect(readStatus("", false).installed).toBe(false);
  });
});

describe("a task of Windows", () => {
  test("starts at the log-on, hidden errors kept in the log", () => {
    const task = windowsService(spec(), { user: "PC\\ann", folder: "C:\\Users\\ann\\.clusterd" });
    expect(task.file).toBe("C:\\Users\\ann\\.clusterd\\clusterd-task.xml");
    expect(task.content.startsWith("\uFEFF<?xml")).toBe(true);
    expect(task.content).toContain("<LogonTrigger><UserId>PC\\ann</UserId></LogonTrigger>");
    expect(task.content).toContain("&gt;&gt; &quot;/home/ann/.clusterd/logs/daemon.log&quot; 2&gt;&amp;1");
    expect(task.readStatus("Running\r\n", true)).toEqual({ installed: true, running: true, pid: null });
    expect(task.readStatus("Ready\r\n", true).running).toBe(false);
    expect(task.readStatus("", false).installed).toBe(false);
  });

  test.prop([fc.array(word, { minLength: 1, maxLength: 5 })])(
    "command lines are split by Windows' rules into what they were",
    (words) => {
      expect(splitByWindows(windowsCommandLine(words))).toEqual(words);
    },
  );

  /** `CommandLineToArgvW`: 2n backslashes and a quote are n and the quote's end, 2n + 1 are n and a quote. */
  function splitByWindows(line: string): string[] {
    const words: string[] = [];
    let word: string | null = null;
    let quoted = false;
    for (let at = 0; at < line.length; at++) {
      const slashes = /^\\*/.exec(line.slice(at))?.[0].length ?? 0;
      if (slashes > 0 && line[at + slashes] === '"') {
        word = (word ?? "") + "\\".repeat(Math.floor(slashes / 2));
        at += slashes;
        if (slashes % 2 === 1) word += '"';
        else quoted = !quoted;
      } else if (slashes > 0) {
        word = (word ?? "") + "\\".repeat(slashes);
        at += slashes - 1;
      } else if (line[at] === '"') {
        word ??= "";
        quoted = !quoted;
      } else if (line[at] === " " && !quoted) {
        if (word !== null) words.push(word);
        word = null;
      } else word = (word ?? "") + (line[at] ?? "");
    }
    return word === null ? words : [...words, word];
  }
});

describe("join's flags", () => {
  test("are join's, with paths made absolute", () => {
    expect(joinWords(["--name", "pi", "--token-file", "t", "--load=./m.gguf", "--access-log", "/a"], "/here")).toEqual([
      ...["--name", "pi", "--token-file", "/here/t", "--load=/here/m.gguf", "--access-log", "/a"],
    ]);
    expect(joinWords(["--load", "demo"], "/here")).toEqual(["--load", "demo"]);
    expect(joinWords([], "/here")).toEqual([]);
  });

  test.each([
    [["--nope"]],
    [["--detach"]],
    [["--json"]],
    [["--home", "/x"]],
    [["--help"]],
    [["--memory", "much"]],
    [["--token", "t"]],
  ])("%j are refused", (words) => {
    expect(() => joinWords(words, "/here")).toThrow();
  });

  test("another home than the usual one has a service of its own", () => {
    expect(serviceName("/home/ann/.clusterd", "/home/ann/.clusterd")).toBe("clusterd");
    expect(serviceName("/srv/a", "/home/ann/.clusterd")).toMatch(/^clusterd-[0-9a-f]{8}$/);
    expect(serviceName("/srv/a", "/u")).not.toBe(serviceName("/srv/b", "/u"));
  });
});

const isRoot = process.getuid?.() === 0;
const hasUnits = process.platform === "linux" && (!isRoot || existsSync("/etc/systemd/system"));

describe.runIf(hasUnits)("clusterd service, with a systemctl that notes what it is told", () => {
  const folder = mkdtempSync(join(tmpdir(), "clusterd-service-"));
  const [told, state] = [join(folder, "told"), join(folder, "state")];
  const tool = (name: string): void => {
    const file = join(folder, name);
    const show = `case "$*" in *show*) cat ${state} 2>/dev/null ;; *restart*) printf 'LoadState=loaded\\nActiveState=active\\nMainPID=7\\n' >${state} ;; *disable*) rm -f ${state} ;; esac`;
    writeFileSync(
      file,
      `#!/bin/sh\necho "${name} $*" >>${told}\n[ ! -e ${folder}/broken ] || { echo "no bus" >&2; exit 1; }\n${show}\n`,
    );
    chmodSync(file, 0o755);
  };
  tool("systemctl");
  tool("loginctl");
  const units = join(folder, "units");
  mkdirSync(units);
  const main = resolve(import.meta.dirname, "../main.ts");
  const unitOf = (file: string): string => (isRoot ? join(units, basename(file)) : file);
  const clusterd = (...words: readonly string[]): { code: number | null; out: string; err: string } => {
    const home = join(folder, "home");
    const env = {
      ...process.env,
      PATH: `${folder}:${process.env["PATH"] ?? ""}`,
      HOME: folder,
      XDG_CONFIG_HOME: join(folder, "config"),
    };
    const line = [process.execPath, main, "service", "--home", home, ...words];
    // Root's units would go to the machine's own folder: here another lies over it.
    const script = `mount --bind ${units} /etc/systemd/system && exec "$@"`;
    const [program = "", ...args] = isRoot ? ["unshare", "-m", "sh", "-c", script, "sh", ...line] : line;
    const { status, stdout, stderr } = spawnSync(program, args, { env, encoding: "utf8" });
    return { code: status, out: stdout, err: stderr };
  };

  once("installs, tells, uninstalls; a failure leaves nothing", () => {
    expect(clusterd("status").code).toBe(4);
    const installed = clusterd("install", "--json");
    expect(installed.err).toBe("");
    const { file, running, pid } = JSON.parse(installed.out) as { file: string; running: boolean; pid: number };
    expect([running, pid]).toEqual([true, 7]);
    // What cannot be started again is as it was.
    const before = readFileSync(unitOf(file), "utf8");
    writeFileSync(join(folder, "broken"), "");
    const again = clusterd("install", "--", "--name", "pi");
    expect([again.code, readFileSync(unitOf(file), "utf8")]).toEqual([1, before]);
    rmSync(join(folder, "broken"));
    expect(before).toMatch(/ExecStart=.*"join" "--home" ".*\/home"/);
    expect(clusterd("status")).toMatchObject({ code: 0, out: expect.stringContaining("runs (process 7)") as string });
    expect(clusterd("uninstall").code).toBe(0);
    expect(existsSync(unitOf(file))).toBe(false);
    expect(clusterd("uninstall").code).toBe(4);
    expect(readFileSync(told, "utf8")).toMatch(/daemon-reload\n.*enable .*\n.*restart [^]*disable --now .*\n.*daemon-reload/);
    writeFileSync(join(folder, "broken"), "");
    const failed = clusterd("install");
    expect([failed.code, existsSync(unitOf(file))]).toEqual([1, false]);
    expect(failed.err).toContain("no bus");
    expect(clusterd("status", "extra").code).toBe(2);
  });
});
