import { createHash, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import type { TLSSocket } from "node:tls";

/** A node's certificate of the data plane; peers know it by its fingerprint alone. */
export interface Certificate {
  readonly keyPem: string;
  readonly certificatePem: string;
  /** SHA-256 of the certificate (DER), hex. */
  readonly fingerprint: string;
}

/** Dates are not looked at, only the fingerprint is: a wrong clock must not lock anybody out. */
const VALID_YEARS = 50;

export function fingerprintOf(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex");
}

/** The node's own certificate, kept in one private file; made when missing or damaged (peers learn the new fingerprint by themselves). */
export async function loadCertificate(file: string): Promise<Certificate> {
  try {
    const text = await readFile(file, "utf8");
    const [keyPem, certificatePem] = [
      /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/,
      /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/,
    ].map((part) => part.exec(text)?.[0]);
    if (keyPem !== undefined && certificatePem !== undefined)
      return { keyPem, certificatePem, fingerprint: fingerprintOf(new X509Certificate(certificatePem).raw) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") throw error;
  }
  const made = await makeCertificate();
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  {
    await using handle = await open(temporary, "wx", 0o600);
    await handle.writeFile(`${made.keyPem}\n${made.certificatePem}\n`);
    await handle.sync();
  }
  await rename(temporary, file);
  return made;
}

async function makeCertificate(): Promise<Certificate> {
  // Only needed once in a node's life: not loaded otherwise.
  // The certificate library asks for this polyfill by itself.
  await import("reflect-metadata");
  const { X509CertificateGenerator, cryptoProvider, PemConverter } = await import("@peculiar/x509");
  cryptoProvider.set(webcrypto as Crypto);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: `01${randomBytes(8).toString("hex")}`,
    name: "CN=clusterd",
    notBefore: new Date("2020-01-01T00:00:00Z"),
    notAfter: new Date(Date.UTC(2020 + VALID_YEARS, 0, 1)),
    signingAlgorithm: algorithm,
    keys: keys as Parameters<typeof X509CertificateGenerator.createSelfSigned>[0]["keys"],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    keyPem: PemConverter.encode(key, "PRIVATE KEY"),
    certificatePem: certificate.toString("pem"),
    fingerprint: fingerprintOf(new Uint8Array(certificate.rawData)),
  };
}

/** SHA-256 (hex) of the certificate the other side has shown; null where it has shown none. */
export function fingerprintOfPeer(socket: TLSSocket): string | null {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? null : fingerprintOf(certificate.raw);
}
