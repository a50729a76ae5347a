// What all connections of the protocol share.

import type { ProtocolHost } from "../../network/host.js";
import { StorageAlarm } from "./storage-alarm.js";

export class Realm {
  readonly host: ProtocolHost;
  readonly alarm: StorageAlarm;

  constructor(host: ProtocolHost) {
    this.host = host;
    this.alarm = new StorageAlarm(host.clock);
  }

  /** Makes what clients expect to be there. Errors: those of storage. */
  open(): Promise<void> {
    return Promise.resolve();
  }
}
