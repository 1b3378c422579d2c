// Objects that pass for Headers: theirs is the state, the work is done by real Headers that are made when needed. Knows no fields.

/**
 * Makes `prototype` inherit from Headers, so that `instanceof` holds, and pass on all that Headers has and it has not itself, whatever a
 * runtime adds to the standard (`count`, `toJSON`, how it prints), to the Headers of `realOf`. `new Headers(it)` works too: it is iterated.
 */
export function passForHeaders<T extends object>(prototype: T, realOf: (like: T) => Headers): void {
  for (const key of Reflect.ownKeys(Headers.prototype)) {
    if (Object.hasOwn(prototype, key)) continue;
    const descriptor = Object.getOwnPropertyDescriptor(Headers.prototype, key);
    if (descriptor === undefined) continue;
    const { value, get } = descriptor;
    if (typeof value === "function") {
      descriptor.value = function (this: T, ...args: unknown[]): unknown {
        return Reflect.apply(value, realOf(this), args);
      };
    } else if (get !== undefined) {
      descriptor.get = function (this: T): unknown {
        return Reflect.apply(get, realOf(this), []);
      };
    } else {
      continue;
    }
    Object.defineProperty(prototype, key, descriptor);
  }
  Object.setPrototypeOf(prototype, Headers.prototype);
}
