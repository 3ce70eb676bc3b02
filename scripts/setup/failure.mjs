/** A step that could not be done: what, why, and what to do about it. */
export class SetupFailure extends Error {
  constructor(message, next) {
    super(message);
    this.name = "SetupFailure";
    this.next = next;
  }
}

const CAUSES = [
  {
    signs:
      /ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|META_FETCH_FAIL|FETCH_5\d\d|network (is|request|timeout)/i,
    why: (registry) => `The package registry ${registry} is out of reach.`,
    next: "Check the network, and what npm uses to get there: `npm config get registry`, `npm config get https-proxy`. Then try again.",
  },
  {
    signs: /ENOSPC|no space left/i,
    why: () => "There is no space left on the disk.",
    next: "Make room (about 1.5 GB) and try again.",
  },
  {
    signs: /EACCES|EPERM|EROFS|permission denied|read-only file system/i,
    why: () => "A folder cannot be written to.",
    next: "Use a checkout that belongs to you: `ls -ld . node_modules` shows whose it is, and `npm config get cache` names the other folder that is written to.",
  },
  {
    signs: /OUTDATED_LOCKFILE|FROZEN_LOCKFILE/,
    why: () => "pnpm-lock.yaml does not fit the package.json files.",
    next: "If you changed dependencies, run `npx pnpm@12 install`; else restore the file with `git checkout pnpm-lock.yaml`.",
  },
  {
    signs: /ERR_PNPM_UNSUPPORTED_ENGINE|EBADENGINE/,
    why: () => "This Node is too old for the packages.",
    next: "Install Node 20 or newer.",
  },
];

const LINES_SHOWN = 8;

/** The cause in what npm or pnpm printed, in words that help. */
export function installFailure(output, registry) {
  const cause = CAUSES.find(({ signs }) => signs.test(output));
  const end = output
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-LINES_SHOWN)
    .join("\n");
  if (cause === undefined)
    return new SetupFailure(`The packages could not be installed.\n${end}`, "Try again; the lines above are pnpm's.");
  return new SetupFailure(`The packages could not be installed. ${cause.why(registry)}\n${end}`, cause.next);
}

/** The cause of a failed file operation of our own. */
export function fileFailure(error) {
  const cause = CAUSES.find(({ signs }) => signs.test(String(error.code)));
  return new SetupFailure(`${cause?.why("") ?? "Set-up failed."} ${error.message}`, cause?.next ?? "Try again.");
}
