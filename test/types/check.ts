// What a type test says: that a type is exactly another one. Whatever else it shows does not compile.

/** Whether two types are the same, `any` and readonly included. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles when the type is true. */
export function isTrue<T extends true>(): T | undefined {
  return undefined;
}
