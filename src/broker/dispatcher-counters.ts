// What one queue or subscription has counted since the broker was opened.

/** What has expired was dead-lettered or dropped, and counts there too. */
export class DispatcherCounters {
  delivered = 0;
  settled = 0;
  /** Settled without being delivered, because another one with their id had been handled. */
  duplicates = 0;
  redelivered = 0;
  deadLettered = 0;
  expired = 0;
  dropped = 0;
  leasesLost = 0;
}
