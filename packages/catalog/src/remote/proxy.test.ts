import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fc, test as property } from "@fast-check/vitest";
import { afterAll, expect, test } from "vitest";
import { startTestProxy } from "../testing/proxy-server.ts";
import { startTestHub } from "../testing/hub-server.ts";
import { hubConfig } from "./hub-config.ts";
import { hubGet } from "./hub-request.ts";
import { isExcepted, proxyFor, proxySettings } from "./proxy-settings.ts";

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "clusterd-proxy-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const listing = { path: "/api/models/o/r/revision/main", repo: "o/r", mayLeave: false };
const portOf = (url: string): number => Number(new URL(url).port);

test("a hub is asked through the proxy, and where it sends one for its files too", async () => {
  await using hub = await startTestHub({ files: { "m-Q8_0.gguf": Buffer.from("weights") }, storeUrl: "http://store.test" });
  await using proxy = await startTestProxy({
    hosts: { "hub.test:80": portOf(hub.endpoint), "store.test:80": portOf(hub.store) },
    login: "me:secret",
  });
  const ask = (env: Record<string, string>, path = listing.path): ReturnType<typeof hubGet> =>
    hubGet(hubConfig({ HF_ENDPOINT: "http://hub.test", ...env }), { ...listing, path, mayLeave: true }, 1e6, signal);
  for (const name of ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]) {
    proxy.seen.length = 0;
    expect((await ask({ [name]: proxy.url })).body.toString()).toContain('"siblings"');
    expect(proxy.seen).toEqual([`GET http://hub.test${listing.path}`]);
  }
  const file = "/o/r/resolve/0123abcd/m-Q8_0.gguf";
  expect((await ask({ HTTP_PROXY: proxy.url }, file)).body.toString()).toBe("weights");
  expect(proxy.seen.at(-1)).toBe("GET http://store.test/stored/m-Q8_0.gguf?signature=1");

  const wrong = proxy.url.replace("secret", "wrong");
  await expect(ask({ HTTP_PROXY: wrong })).rejects.toMatchObject({
    code: "not_admitted",
    message: `the proxy ${proxy.host} wants to know who asks (407).`,
  });
  await expect(ask({ HTTP_PROXY: "http://127.0.0.1:1" })).rejects.toThrow(
    /hub\.test cannot be read from through the proxy 127\.0\.0\.1:1/u,
  );
  // Excepted, it is asked directly, and is nowhere to be found.
  proxy.seen.length = 0;
  await expect(ask({ HTTP_PROXY: proxy.url, NO_PROXY: ".test" })).rejects.toThrow(/hub\.test cannot be read from: /u);
  expect(proxy.seen).toEqual([]);
  // A hub on this machine is never asked through one.
  expect((await ask({ HTTP_PROXY: proxy.url, HF_ENDPOINT: hub.endpoint })).body.toString()).toContain('"siblings"');
  expect(proxy.seen).toEqual([]);
});

test("https goes through a tunnel, with the hub's own certificate at its end", async () => {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=hub.test", "-addext", "subjectAltName=DNS:hub.test"];
  await run("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-keyout",
    key,
    "-out",
    cert,
    ...subject,
  ]);
  const seen: (string | undefined)[] = [];
  const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (request, response) => {
    seen.push(request.headers.authorization);
    response.end("from the hub");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await using proxy = await startTestProxy({
      hosts: { "hub.test:443": (server.address() as AddressInfo).port },
      login: "me:secret",
    });
    const script = join(folder, "ask.ts");
    const from = (name: string): string => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));
    await writeFile(
      script,
      `import { hubConfig } from ${from("hub-config.ts")};
import { hubGet } from ${from("hub-request.ts")};
const { signal } = new AbortController();
try {
  const { body } = await hubGet(hubConfig(process.env), ${JSON.stringify(listing)}, 1000, signal);
  console.log(body.toString());
} catch (error) { console.log(error.code + ": " + error.message); }
`,
    );
    const ask = async (env: Record<string, string>): Promise<string> =>
      (
        await run(process.execPath, ["--no-warnings", script], { env: { HF_ENDPOINT: "https://hub.test", ...env } })
      ).stdout.trim();
    const trusting = { NODE_EXTRA_CA_CERTS: cert, HF_TOKEN: "hf_secret" };
    expect(await ask({ ...trusting, HTTPS_PROXY: proxy.url })).toBe("from the hub");
    expect(proxy.seen).toEqual(["CONNECT hub.test:443"]);
    expect(seen).toEqual(["Bearer hf_secret"]);
    // A proxy that would read along is not trusted for it: the certificate must be the hub's.
    expect(await ask({ HTTPS_PROXY: proxy.url, HF_TOKEN: "hf_secret" })).toMatch(
      /^failed: hub\.test cannot be read from through the proxy .*certificate/u,
    );
    expect(await ask({ ...trusting, https_proxy: proxy.url.replace("me:secret@", "") })).toMatch(
      /^not_admitted: the proxy .*407/u,
    );
    expect(await ask({ ...trusting, HTTPS_PROXY: proxy.url, HF_ENDPOINT: "https://other.test" })).toMatch(
      /^failed: the proxy 127.* answered 502/u,
    );
    expect(await ask({ ...trusting, ALL_PROXY: "socks5h://127.0.0.1:1080" })).toMatch(
      /^usage: HTTPS_PROXY \(or ALL_PROXY\) names a SOCKS proxy/u,
    );
    expect(seen).toHaveLength(1);
  } finally {
    server.close();
  }
});

test.each([
  ["", "http://hub.test/", false],
  ["*", "http://hub.test/", true],
  ["hub.test", "http://hub.test/", true],
  ["hub.test", "http://HUB.test:8080/", true],
  [".hub.test, x", "http://cdn.hub.test/", true],
  ["*.hub.test", "http://cdn.hub.test/", true],
  ["ub.test", "http://hub.test/", false],
  ["hub.test:80", "http://hub.test/", true],
  ["hub.test:443", "https://hub.test/", true],
  ["hub.test:81", "http://hub.test/", false],
  ["10.0.0.0/8 x", "http://10.1.2.3/", true],
  ["10.0.0.0/8", "http://11.1.2.3/", false],
  ["10.1.2.3", "http://10.1.2.3/", true],
  ["2.3", "http://10.1.2.3/", false],
  ["fd00::/8", "http://[fd12::1]/", true],
  ["[fd12::1]:80", "http://[fd12::1]/", true],
  ["fd12::1", "http://[fd12::1]/", true],
  ["10.0.0.0/99", "http://10.1.2.3/", false],
])("NO_PROXY=%j excepts %s: %s", (none, url, expected) => {
  expect(isExcepted(new URL(url), none)).toBe(expected);
});

test("a proxy that is none is refused, and this machine needs none", () => {
  const settings = proxySettings({ HTTP_PROXY: "proxy.test:3128", https_proxy: "ftp://x" });
  expect(proxyFor(new URL("http://hub.test/"), settings)?.href).toBe("http://proxy.test:3128/");
  expect(() => proxyFor(new URL("https://hub.test/"), settings)).toThrow(expect.objectContaining({ code: "usage" }));
  for (const host of ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "x.localhost"])
    expect(proxyFor(new URL(`http://${host}/`), settings)).toBeNull();
  expect(proxySettings({ NO_PROXY: "*", HTTP_PROXY: " " })).toBeNull();
});

property.prop([fc.string({ maxLength: 60 }), fc.string({ maxLength: 60 })], { numRuns: 2000 })(
  "whatever the variables hold, there is a proxy, none, or a reason",
  (given, none) => {
    const settings = proxySettings({ HTTP_PROXY: given, NO_PROXY: none });
    try {
      const proxy = proxyFor(new URL("http://hub.test/x"), settings);
      expect(proxy === null || ["http:", "https:"].includes(proxy.protocol)).toBe(true);
    } catch (error) {
      expect(error).toMatchObject({ name: "ClusterdError", code: "usage" });
    }
  },
);
