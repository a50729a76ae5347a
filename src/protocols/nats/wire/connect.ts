// What a client says about itself in CONNECT.

/** Names are those of the wire; left out is as nats-server takes it. */
export interface ConnectOptions {
  readonly verbose: boolean;
  readonly pedantic: boolean;
  readonly echo: boolean;
  readonly headers: boolean;
  readonly noResponders: boolean;
  readonly protocol: number;
  readonly name: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly token: string | undefined;
  readonly nkey: string | undefined;
  readonly signature: string | undefined;
}

/** As long as it has said nothing. */
export const SILENT: ConnectOptions = {
  verbose: true,
  pedantic: true,
  echo: true,
  headers: false,
  noResponders: false,
  protocol: 0,
  name: undefined,
  user: undefined,
  password: undefined,
  token: undefined,
  nkey: undefined,
  signature: undefined,
};

/** Options that a later CONNECT leaves out stay as they are. Undefined when it is no object, or something in it of the wrong type. */
export function parseConnect(json: string, before: ConnectOptions): ConnectOptions | undefined {
  const given = parseObject(json);
  if (given === undefined) return undefined;
  const fields = new Fields(given);
  const options: ConnectOptions = {
    verbose: fields.flag("verbose") ?? before.verbose,
    pedantic: fields.flag("pedantic") ?? before.pedantic,
    echo: fields.flag("echo") ?? before.echo,
    headers: fields.flag("headers") ?? before.headers,
    noResponders: fields.flag("no_responders") ?? before.noResponders,
    protocol: fields.number("protocol") ?? before.protocol,
    name: fields.text("name") ?? before.name,
    user: fields.text("user") ?? before.user,
    password: fields.text("pass") ?? before.password,
    token: fields.text("auth_token") ?? before.token,
    nkey: fields.text("nkey") ?? before.nkey,
    signature: fields.text("sig") ?? before.signature,
  };
  return fields.areValid ? options : undefined;
}

function parseObject(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** An absent field, and one that is null, is undefined. */
class Fields {
  areValid = true;
  readonly #given: Readonly<Record<string, unknown>>;

  constructor(given: Readonly<Record<string, unknown>>) {
    this.#given = given;
  }

  flag(name: string): boolean | undefined {
    const value = this.#given[name] ?? undefined;
    if (value === undefined || typeof value === "boolean") return value;
    this.areValid = false;
    return undefined;
  }

  number(name: string): number | undefined {
    const value = this.#given[name] ?? undefined;
    if (value === undefined || typeof value === "number") return value;
    this.areValid = false;
    return undefined;
  }

  /** An empty text says nothing. */
  text(name: string): string | undefined {
    const value = this.#given[name] ?? undefined;
    if (value === undefined || value === "") return undefined;
    if (typeof value === "string") return value;
    this.areValid = false;
    return undefined;
  }
}
