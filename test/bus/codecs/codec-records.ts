// Stored records with the bodies that codecs are tested with.

import type { AnyCodec, Codec } from "../../../src/index.js";

type EngineRecord = Parameters<AnyCodec["decode"]>[0];

/** What a codec has written, as it is read back from a log. */
export function storedBody(body: string | Uint8Array | null): EngineRecord {
  const value = body === null ? null : Buffer.from(body);
  return {
    offset: 0,
    timestampMs: 0,
    value,
    valueText: () => value?.toString("utf8") ?? "",
    keyText: () => null,
    header: () => undefined,
    headerEquals: () => undefined,
    headers: () => [],
  };
}

/** Written and read again. */
export function roundTrip<In, Out>(codec: Codec<In, Out>, value: In): Out {
  return codec.decode(storedBody(codec.encode(value)));
}
