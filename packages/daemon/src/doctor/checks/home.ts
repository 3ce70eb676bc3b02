import { check, HERE, hint, wrong, type Check } from "../check.ts";

const OTHERS_WRITE = 0o022;
const LISTED_MAX = 5;

const homeCheck: Check = check({
  name: "home",
  title: "the home's permissions",
  needs: ["home"],
  find({ home: { path, exists, writable, owned, mode, exposed, networkFileSystem } }) {
    if (!writable)
      return [
        wrong(
          path,
          exists ? "the home cannot be written" : "the home cannot be made",
          "a daemon keeps its identity, models and logs there",
          owned
            ? `Make it writable (chmod u+rwx ${path}), or give another: --home DIR`
            : "It is another user's: give another with --home DIR.",
        ),
      ];
    return [
      ...(mode !== null && (mode & OTHERS_WRITE) !== 0
        ? [
            wrong(
              path,
              "others may write in the home",
              "they could replace this node's identity, and the models it runs",
              `chmod go-w ${path}`,
            ),
          ]
        : []),
      ...exposed.map((file) =>
        wrong(
          file,
          "others on this machine may read a secret",
          "who has it is let into the cluster, or acts as this node",
          `chmod 600 ${file}`,
        ),
      ),
      ...(networkFileSystem === null
        ? []
        : [
            hint(
              path,
              `the home lies on a network file system (${networkFileSystem})`,
              "models are read over the network, and a lock there may not keep out another machine's daemon",
              "Give each machine a home on a disk of its own: --home DIR",
            ),
          ]),
    ];
  },
});

const daemonCheck: Check = check({
  name: "daemon",
  title: "the daemon and its locks",
  needs: ["daemon", "home"],
  find({ daemon: { record, alive, answers, buildLock }, home }) {
    const lost =
      record !== null && !alive
        ? [
            hint(
              home.path,
              `a daemon (process ${record.pid}, started ${record.startedAt}) ended without taking its record away`,
              "it was killed, or the machine lost power; the next start does not mind",
              "Start it again: clusterd join",
            ),
          ]
        : [];
    const deaf =
      record !== null && alive && answers === false
        ? [
            wrong(
              home.path,
              `process ${record.pid} is there but ${record.api} does not answer`,
              "the daemon hangs, or its record is an old one and another program has its number",
              `See what it is (ps -p ${record.pid}); end it if it is clusterd, and start it again: clusterd join`,
            ),
          ]
        : [];
    const locked =
      buildLock === null
        ? []
        : buildLock.alive
          ? [
              hint(
                buildLock.path,
                `process ${buildLock.pid} is building the engine`,
                "others wait for it",
                "Wait for it, or see it: clusterd engine",
              ),
            ]
          : [
              hint(
                buildLock.path,
                `the lock of a build that ended (process ${buildLock.pid}) was left behind`,
                "the next build takes it away by itself",
                "Nothing to do: clusterd engine",
              ),
            ];
    return [...lost, ...deaf, ...locked];
  },
});

const modelsCheck: Check = check({
  name: "models",
  title: "model files",
  needs: ["models"],
  find({ models: { broken, aside } }) {
    const listed = (paths: readonly string[]): string =>
      paths.length <= LISTED_MAX
        ? paths.join(", ")
        : `${paths.slice(0, LISTED_MAX).join(", ")} and ${paths.length - LISTED_MAX} more`;
    return [
      ...broken
        .slice(0, LISTED_MAX)
        .map(({ path, message }) =>
          wrong(path, message, "it is not listed, and cannot be loaded", "Fetch it again, or delete the file."),
        ),
      ...(broken.length > LISTED_MAX
        ? [
            wrong(
              HERE,
              `${broken.length - LISTED_MAX} more model files are refused`,
              "they are not listed, and cannot be loaded",
              "See them when the daemon starts: clusterd logs",
            ),
          ]
        : []),
      ...(aside.length === 0
        ? []
        : [
            hint(
              listed(aside),
              "damaged files were put aside",
              "they take room, and nothing uses them",
              "Delete them; a disk that does this again is dying: clusterd verify",
            ),
          ]),
    ];
  },
});

export const HOME_CHECKS: readonly Check[] = [homeCheck, daemonCheck, modelsCheck];
