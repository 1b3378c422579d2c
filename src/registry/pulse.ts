// Beats at a jittered interval, on schedule whether or not earlier beats have been answered: an agent without a quorum takes
// 7 to 21 s for a PUT (measured on Consul 1.8.7), which must not cost the TTL. Knows nothing of what a beat does.

import type { Clock } from "../core/clock.ts";
import { jitter, type Random } from "../core/random.ts";

/** What beats, how often, and who is told. */
export interface PulseOptions {
  /** One beat. Aborted when the pulse stops, or when too many later beats are due. */
  readonly beat: (signal: AbortSignal) => Promise<void>;
  /** Milliseconds between beats, varied by 10 % both ways. */
  readonly intervalMs: number;
  /** A beat succeeded. */
  readonly onSuccess: () => void;
  /** A beat failed, and no beat sent after it has succeeded. */
  readonly onFailure: (error: unknown) => void;
  readonly clock: Clock;
  readonly random: Random;
}

/** A running pulse. */
export interface Pulse {
  /** Stops at once and aborts the beats under way. No callback follows. */
  stop(): void;
}

/** Beats that may be under way at once; when one more is due, the oldest is given up for it. */
const maxUnderWay = 8;

/** Starts beating, the first beat at once. */
export function startPulse(options: PulseOptions): Pulse {
  const { beat, intervalMs, clock, random } = options;
  const underWay = new Map<number, AbortController>();
  let beats = 0;
  let lastSuccess = 0;
  let stopped = false;
  let cancel: () => void = () => {};

  const send = async (): Promise<void> => {
    const sequence = ++beats;
    const controller = new AbortController();
    underWay.set(sequence, controller);
    try {
      await beat(controller.signal);
      if (stopped) return;
      lastSuccess = Math.max(lastSuccess, sequence);
      options.onSuccess();
    } catch (error) {
      // An old failure says nothing once a later beat came through.
      if (!stopped && sequence > lastSuccess) options.onFailure(error);
    } finally {
      underWay.delete(sequence);
    }
  };

  const tick = (): void => {
    cancel = clock.schedule(jitter(intervalMs, 0.1, random), tick);
    if (underWay.size >= maxUnderWay) {
      const [oldest] = underWay.values();
      oldest?.abort(new Error(`No answer to a heartbeat before ${maxUnderWay} later ones were due`));
    }
    void send();
  };

  tick();
  return {
    stop() {
      stopped = true;
      cancel();
      const reason = new Error("Heartbeats have stopped");
      for (const controller of underWay.values()) controller.abort(reason);
    },
  };
}
