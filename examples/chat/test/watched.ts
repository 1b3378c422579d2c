// Something that changes, and tests that wait for how it should be. The test's own timeout is the limit.

/** Whoever changes the thing calls `changed`. */
export interface Watched {
  changed(): void;
  /** Resolves when the condition holds; looked at now and after every change. Rejects with what the condition throws. */
  until(condition: () => boolean): Promise<void>;
}

export function watched(): Watched {
  const looks = new Set<() => void>();
  return {
    changed() {
      for (const look of [...looks]) look();
    },
    until(condition) {
      return new Promise((resolve, reject) => {
        const look = () => {
          try {
            if (!condition()) return;
            resolve();
          } catch (error) {
            reject(error);
          }
          looks.delete(look);
        };
        looks.add(look);
        look();
      });
    },
  };
}
