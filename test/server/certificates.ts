// Certificates for one test, made by openssl as an operator makes them.

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Certificate {
  /** In PEM. */
  readonly pem: { readonly certificate: string; readonly key: string };
  /** The paths of both. */
  readonly certificatePath: string;
  readonly keyPath: string;
}

/** An authority, in a folder, that signs what a test asks for. */
export class Authority {
  readonly #folder: string;
  readonly own: Certificate;

  private constructor(folder: string, own: Certificate) {
    this.#folder = folder;
    this.own = own;
  }

  static async create(folder: string, name = "authority"): Promise<Authority> {
    const paths = pathsIn(folder, name);
    await run("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-keyout", paths.keyPath, "-out", paths.certificatePath],
    ]);
    return new Authority(folder, await read(paths));
  }

  async sign(name: string): Promise<Certificate> {
    const paths = pathsIn(this.#folder, name);
    const request = join(this.#folder, `${name}.csr`);
    const extensions = join(this.#folder, `${name}.ext`);
    await writeFile(extensions, "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    await run("openssl", [
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", `/CN=${name}`],
      ...["-keyout", paths.keyPath, "-out", request],
    ]);
    const { certificatePath, keyPath } = this.own;
    await run("openssl", [
      ...[
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        certificatePath,
        "-CAkey",
        keyPath,
        "-CAcreateserial",
        "-days",
        "2",
      ],
      ...["-extfile", extensions, "-out", paths.certificatePath],
    ]);
    return await read(paths);
  }
}

function pathsIn(folder: string, name: string): Pick<Certificate, "certificatePath" | "keyPath"> {
  return { certificatePath: join(folder, `${name}.pem`), keyPath: join(folder, `${name}.key`) };
}

async function read(paths: Pick<Certificate, "certificatePath" | "keyPath">): Promise<Certificate> {
  const [certificate, key] = await Promise.all([
    readFile(paths.certificatePath, "utf8"),
    readFile(paths.keyPath, "utf8"),
  ]);
  return { ...paths, pem: { certificate, key } };
}
