// A resolver whose first snapshot waits for the service config, so that the first calls have their policies. Resolves nothing itself.

import type { Clock } from "../../core/clock.ts";
import type { Resolver, ResolverSnapshot } from "../../resolver/resolver.ts";
import type { ServiceConfigHolder } from "./service-config-holder.ts";

/** How long endpoints wait for a service config that does not come, in milliseconds: both are mostly asked of the same agent, at once. */
const longestWaitMs = 1000;

/**
 * `resolver`, whose listeners keep the holder's source followed, too. While the source has neither answered nor failed, snapshots are held back,
 * for at most a second; all that follows passes through. The resolver itself where there is nothing to wait for.
 */
export function configFirst(resolver: Resolver, holder: ServiceConfigHolder, clock: Clock): Resolver {
  if (holder.isKnown) return resolver;
  let listening = 0;
  return {
    description: resolver.description,
    get latest() {
      return resolver.latest;
    },
    refresh: () => resolver.refresh(),
    released: () => resolver.released?.() ?? Promise.resolve(),
    subscribe(listener) {
      let held: ResolverSnapshot | undefined;
      let isOpen = holder.isKnown;
      let cancelWait: (() => void) | undefined;
      const stopHearing = holder.onChange(() => {
        if (holder.isKnown) open();
      });
      const open = () => {
        if (isOpen) return;
        isOpen = true;
        stopWaiting();
        const snapshot = held;
        held = undefined;
        if (snapshot !== undefined) listener.onSnapshot(snapshot);
      };
      const stopWaiting = () => {
        stopHearing();
        cancelWait?.();
      };
      listening++;
      // First, so that both questions are under way together.
      holder.start();
      const unsubscribe = resolver.subscribe({
        onSnapshot(snapshot) {
          if (isOpen) {
            listener.onSnapshot(snapshot);
            return;
          }
          held = snapshot;
          cancelWait ??= clock.schedule(longestWaitMs, open);
        },
        onError: (error) => listener.onError(error),
      });
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        isOpen = true;
        stopWaiting();
        unsubscribe();
        if (--listening === 0) holder.stop();
      };
    },
  };
}
