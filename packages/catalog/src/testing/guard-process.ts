// Walks over headers in a process of its own and prints by how many bytes its memory's peak has grown: node guard-process.ts WARM PATHS…
import { guardHeader, newContentHash } from "../header-guard.ts";

const [warm = "", ...paths] = process.argv.slice(2);
const { signal } = new AbortController();
await guardHeader(warm, newContentHash(), signal);
const before = process.resourceUsage().maxRSS;
const messages: string[] = [];
for (const path of paths)
  messages.push(
    await guardHeader(path, newContentHash(), signal).then(
      () => "passed",
      (error: unknown) => (error as Error).message,
    ),
  );
process.stdout.write(JSON.stringify({ grownBytes: (process.resourceUsage().maxRSS - before) * 1024, messages }));
