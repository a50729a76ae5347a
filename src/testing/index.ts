// For tests of applications: a bus in memory under a virtual clock, which says when everything has been handled.

export { openTestBus, type RecordedMessage, type ReportedError, TestBus } from "./test-bus.js";
export { VirtualClock } from "./virtual-clock.js";
