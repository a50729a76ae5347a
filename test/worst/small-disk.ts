// A real file system of a few megabytes, mounted for one test.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/**
 * Why none can be mounted here, or false. Even on CI this is no failure, as a container may refuse it to root:
 * file-limit.test.ts and read-only-directory.test.ts need no mount.
 */
export function withoutMounts(): string | false {
  if (process.platform !== "linux") return "mounting a tmpfs needs Linux";
  if (process.getuid?.() !== 0) return "mounting a tmpfs needs root";
  const folder = mkdtempSync(join(tmpdir(), "omnibus-mount-"));
  try {
    const { status, stderr } = run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder);
    if (status !== 0) return `mounting a tmpfs is refused: ${stderr.trim()}`;
    run("umount", folder);
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Its folder. Unmounted when the test is over, whatever still has it open. */
export function smallDisk(t: TestContext, sizeBytes: number): string {
  const folder = mkdtempSync(join(tmpdir(), "omnibus-small-disk-"));
  mount("-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", folder);
  t.after(() => {
    const { status } = run("umount", folder);
    if (status !== 0) run("umount", "--lazy", folder);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Nothing may be open for writing. */
export function makeReadOnly(folder: string): void {
  mount("-o", "remount,ro", folder);
}

export function makeWritable(folder: string): void {
  mount("-o", "remount,rw", folder);
}

function mount(...options: string[]): void {
  const { status, stderr } = run("mount", ...options);
  if (status !== 0) throw new Error(`mount ${options.join(" ")}: ${stderr}`);
}

function run(command: string, ...options: string[]): { status: number | null; stderr: string } {
  const { status, stderr, error } = spawnSync(command, options, { encoding: "utf8" });
  return { status, stderr: error?.message ?? stderr };
}
