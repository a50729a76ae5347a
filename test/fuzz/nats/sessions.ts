// What real clients say, as they say it, and how it is spoilt.

import fc from "fast-check";

/** Each is what one client sends from its first byte to its last. Bytes are written as latin1 text. */
export const sessions: Readonly<Record<string, string>> = {
  "a publisher in JavaScript":
    'CONNECT {"protocol":1,"version":"3.4.0","lang":"nats.js","verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n' +
    "PING\r\nPUB order.placed 5\r\nfirst\r\nPUB order.placed 0\r\n\r\nPUB order.placed _INBOX.LQV8.1 4\r\n\r\n\r\n\r\nPING\r\n",
  "a service in Go":
    'CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"name":"","lang":"go","version":"1.31.0","protocol":1,"echo":true,"headers":true,"no_responders":true}\r\nPING\r\n' +
    "SUB square workers 1\r\nPING\r\nPUB square _INBOX.x.1 2\r\n12\r\nPUB _INBOX.x.1 3\r\n144\r\nUNSUB 1 5\r\nPONG\r\nUNSUB 1\r\n",
  "headers and a request":
    'CONNECT {"headers":true,"no_responders":true,"verbose":false}\r\nSUB _INBOX.y.* 2\r\n' +
    "HPUB order.placed _INBOX.y.7 46 48\r\nNATS/1.0\r\nX-Trace: 1\r\nContent-Type: text/a\r\n\r\nok\r\n" +
    "HPUB order.placed 12 12\r\nNATS/1.0\r\n\r\n\r\nUNSUB 2\r\n",
  "somebody at a terminal":
    "connect {}\nsub  >  1\r\npub\tfoo\t 3 \nabc\r\nping\nunsub 1 1\nPUB foo 01\r\na\r\n+OK\r\nINFO {}\r\n",
  "a body of many kinds of bytes": `CONNECT {"verbose":true,"pedantic":true}\r\nPUB a.*.# 260\r\n${Buffer.from(
    Array.from({ length: 260 }, (_, index) => index & 255),
  ).toString("latin1")}\r\nPUB a 300\r\n${"PUB a 1\r\nx\r\n".repeat(25)}\r\n`,
};

/** Words of the protocol, and things that mean much to it. */
const words = fc.constantFrom(
  "PUB ",
  "HPUB ",
  "SUB ",
  "UNSUB ",
  "CONNECT ",
  "PING\r\n",
  "-ERR 'x'\r\n",
  "\r\n",
  "\n",
  " ",
  "\t",
  "999999999",
  "99999999999999999999",
  "-1",
  "0",
  "\0",
  "\xff\xfe",
  "{",
  "NATS/1.0\r\n",
  ">",
  "*",
);

interface Spoiling {
  readonly at: number;
  readonly remove: number;
  readonly insert: string;
}

/** A session with a few places spoilt: bytes removed, changed, repeated, or words put between. */
export const spoilt: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...Object.values(sessions)),
    fc.array(
      fc.record<Spoiling>({
        at: fc.nat({ max: 2_000 }),
        remove: fc.oneof(fc.constant(0), fc.nat({ max: 4 }), fc.nat({ max: 200 })),
        insert: fc.oneof(
          words,
          fc.constant(""),
          fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
        ),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  )
  .map(([session, spoilings]) => {
    let text = session;
    for (const { at, remove, insert } of spoilings) {
      const place = at % (text.length + 1);
      text = text.slice(0, place) + insert + text.slice(place + remove);
    }
    return text;
  });
