import { formatBytes } from "@clusterd/device";
import { check, HERE, hint, wrong, type Check } from "../check.ts";

const MEMORY_BYTES_MIN: number = 2 * 1024 ** 3;
/** Of the budget: with less free, a model that fits the budget makes the machine swap. */
const FREE_SHARE_MIN = 0.5;
const DISK_BYTES_MIN: number = 1e9;
const DISK_BYTES_USEFUL: number = 10e9;
const DISK_SHARE_MIN = 0.05;
/** Tunnels, clients and weights together stay far below it; less runs out with many clients. */
const OPEN_FILES_MIN = 512;
const OPEN_FILES_USEFUL = 4_096;
const PROCESSES_MIN = 128;
/** 2026: before it there was no clusterd, and certificates made today are not valid yet. */
const NOW_MS_MIN: number = Date.UTC(2026, 0, 1);

const memoryCheck: Check = check({
  name: "memory",
  title: "memory",
  needs: ["memory", "daemon"],
  find({ memory: { totalBytes, freeBytes, budgetBytes, raise }, daemon }) {
    if (totalBytes < MEMORY_BYTES_MIN)
      return [
        hint(
          HERE,
          `there are ${formatBytes(totalBytes)} of memory`,
          "few layers fit",
          "Let it be a client, or raise the limit of its container.",
        ),
      ];
    // What a daemon's own engines hold is not somebody else's.
    const short =
      daemon.alive || freeBytes >= budgetBytes * FREE_SHARE_MIN
        ? []
        : [
            hint(
              HERE,
              `${formatBytes(freeBytes)} of memory are free; models may take ${formatBytes(budgetBytes)}`,
              "a model of that size makes the machine swap, and decoding from a disk is hundreds of times slower",
              `End what holds the memory, or start with: clusterd join --memory ${Math.max(1, Math.floor(freeBytes / 1e9))}GB`,
            ),
          ];
    const more =
      raise === null
        ? []
        : [
            hint(
              HERE,
              `macOS lets the GPU have ${formatBytes(budgetBytes)} of ${formatBytes(totalBytes)}`,
              `models could have ${formatBytes(raise.memoryBytes)}`,
              `Raise it until the next start: ${raise.command}`,
            ),
          ];
    return [...short, ...more];
  },
});

const diskCheck: Check = check({
  name: "disk",
  title: "room for models",
  needs: ["disk"],
  find({ disk: { path, totalBytes, freeBytes } }) {
    const what = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free at ${path}`;
    const next = "See what models take: clusterd models. Give some back: clusterd rm REF, or rm REF --unused.";
    if (freeBytes < DISK_BYTES_MIN) return [wrong(HERE, what, "not even a small model can be fetched", next)];
    if (freeBytes < DISK_BYTES_USEFUL || freeBytes < totalBytes * DISK_SHARE_MIN)
      return [hint(HERE, what, "most models are larger", next)];
    return [];
  },
});

const limitsCheck: Check = check({
  name: "limits",
  title: "the system's limits",
  needs: ["limits", "memory"],
  find({ limits: { openFiles, processes, addressSpaceBytes }, memory }) {
    const files = "In this shell: ulimit -n 65536. For a service: LimitNOFILE=65536.";
    return [
      ...(openFiles !== null && openFiles < OPEN_FILES_MIN
        ? [wrong(HERE, `a process may open ${openFiles} files`, "connections and tunnels are files: new ones fail", files)]
        : openFiles !== null && openFiles < OPEN_FILES_USEFUL
          ? [hint(HERE, `a process may open ${openFiles} files`, "with some hundred clients at once new connections fail", files)]
          : []),
      ...(processes !== null && processes < PROCESSES_MIN
        ? [
            wrong(
              HERE,
              `this user may have ${processes} processes and threads`,
              "an engine has one thread for each core, and some more",
              "Raise it: ulimit -u 4096",
            ),
          ]
        : []),
      ...(addressSpaceBytes !== null && addressSpaceBytes < 2 * memory.totalBytes
        ? [
            wrong(
              HERE,
              `a process may address ${formatBytes(addressSpaceBytes)}`,
              "a model's file is mapped into memory besides what is computed",
              "Lift it: ulimit -v unlimited",
            ),
          ]
        : []),
    ];
  },
});

const clockCheck: Check = check({
  name: "clock",
  title: "the clock",
  needs: ["clock"],
  find({ clock: { nowMs, synchronised } }) {
    if (nowMs < NOW_MS_MIN)
      return [
        wrong(
          HERE,
          `the clock says ${new Date(nowMs).toISOString().slice(0, 10)}`,
          "downloads by HTTPS and keys with daily limits need the right day",
          "Set it: sudo timedatectl set-ntp true",
        ),
      ];
    return synchronised === false
      ? [
          hint(
            HERE,
            "the clock is not set over the network",
            "logs of several machines cannot be compared, and HTTPS fails once it is far off",
            "Switch it on: sudo timedatectl set-ntp true",
          ),
        ]
      : [];
  },
});

export const RESOURCE_CHECKS: readonly Check[] = [memoryCheck, diskCheck, limitsCheck, clockCheck];
