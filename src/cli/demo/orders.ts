// The orders of the demo, and how the world reacts to them. Everything follows from the run and the number of the
// order, so that whoever checks the books can work out what should have happened.

/** What a customer ordered. */
export interface Order {
  readonly id: string;
  readonly customer: string;
  readonly sku: string;
  readonly quantity: number;
  readonly totalCents: number;
}

const CUSTOMERS = ["ada", "grace", "edsger", "barbara", "leslie", "tony", "frances", "donald"] as const;
const SKUS = ["apple", "bread", "cheese", "dates", "eggs", "figs"] as const;

/** An article that the first version of the warehouse's program does not know. */
const UNKNOWN_SKU = "gift-card";

/** One order in so many is for an article that the warehouse does not know. */
const UNKNOWN_SKU_EVERY = 750;

/** The provider loses so many of a hundred payments. */
const PAYMENT_FAILURES_PERCENT = 10;

/** Digits enough that identifiers sort as they were placed. */
const NUMBER_DIGITS = 6;

export function orderId(run: string, number: number): string {
  return `${run}-${String(number).padStart(NUMBER_DIGITS, "0")}`;
}

/** The run that an order belongs to. */
export function runOf(id: string): string {
  return id.slice(0, id.lastIndexOf("-"));
}

export function orderOf(run: string, number: number, orders: number): Order {
  const id = orderId(run, number);
  const dice = hash(id);
  return {
    id,
    customer: CUSTOMERS[dice % CUSTOMERS.length]!,
    sku: isForUnknownSku(number, orders) ? UNKNOWN_SKU : SKUS[(dice >>> 8) % SKUS.length]!,
    quantity: 1 + ((dice >>> 16) % 5),
    totalCents: 100 + ((dice >>> 4) % 9_900),
  };
}

/** Whether the order makes the first version of the warehouse's program fail, each time. */
function isForUnknownSku(number: number, orders: number): boolean {
  const every = Math.min(UNKNOWN_SKU_EVERY, orders);
  return number % every === Math.ceil(every / 3) % every;
}

/** Whether the order comes from an old client that writes its total as text, which the first schema refuses. */
export function isFromOldClient(number: number, orders: number): boolean {
  const wanted = Math.max(1, Math.floor(orders * 0.4));
  return number === (isForUnknownSku(wanted, orders) ? wanted + 1 : wanted);
}

/** Whether the payment provider accepts this attempt. */
export function acceptsPayment(id: string, attempt: number): boolean {
  return hash(`${id}#${attempt}`) % 100 >= PAYMENT_FAILURES_PERCENT;
}

/** How long the payment provider takes, in milliseconds. */
export function paymentMs(id: string): number {
  return 8 + (hash(id) % 24);
}

/** FNV-1a, 32 bits, and one step more to mix the low bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value ^= value >>> 15;
  return Math.imul(value, 0x2c1b3c6d) >>> 0;
}
