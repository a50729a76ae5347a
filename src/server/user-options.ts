// A user as an operator writes one down.

/** Who may connect, how they prove it, and what they may do. */
export interface UserOptions {
  readonly name: string;
  /** The hash of a password, as `hashPassword` and `omnibus hash-password` print it. */
  readonly password?: string;
  /** The hash of a token, which is a password without a user's name. */
  readonly token?: string;
  /** The public key of a NATS nkey: a `U` and 55 characters. */
  readonly nkey?: string;
  /** The common name of a client's certificate. */
  readonly certificate?: string;
  /** @default everything */
  readonly permissions?: PermissionOptions;
}

/** What is left out is not allowed at all. */
export interface PermissionOptions {
  /** Patterns of subjects, such as `order.#`. */
  readonly publish?: readonly string[];
  /** A subscription's pattern has to lie within one of these as a whole. */
  readonly subscribe?: readonly string[];
  /** Names of queues and exchanges, where `*` stands for any characters: what may be declared, changed and deleted. */
  readonly configure?: readonly string[];
  /** What may be consumed from, and bound as a source. */
  readonly read?: readonly string[];
  /** What may be published to, and bound as a destination. */
  readonly write?: readonly string[];
}
