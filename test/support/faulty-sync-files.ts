// A disk in memory whose syncs may hang or fail.

import type { OpenFile } from "../../src/io/io.js";
import { MemoryFiles } from "../../src/io/memory-files.js";

export abstract class FaultySyncFiles extends MemoryFiles {
  /** A sync begins when this resolves, and fails when it rejects. */
  protected abstract beforeSync(): Promise<void>;

  override async open(...args: Parameters<MemoryFiles["open"]>): Promise<OpenFile> {
    const file = await super.open(...args);
    return {
      path: file.path,
      write: (bytes, position) => file.write(bytes, position),
      read: (target, position) => file.read(target, position),
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      size: () => file.size(),
      close: () => file.close(),
      sync: async () => {
        await this.beforeSync();
        await file.sync();
      },
    };
  }
}
