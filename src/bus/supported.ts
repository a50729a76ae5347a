// What may be asked for, as far as it is known what the engine can do.

/**
 * `Options`, unless the engine is known not to support them: then asking for them does not compile. Where the engine is
 * not known, they may be asked for, and are refused with NOT_SUPPORTED by one that cannot.
 */
export type IfSupported<Supported, Options> = Supported extends true
  ? Options
  : { readonly [K in keyof Options]?: never };
