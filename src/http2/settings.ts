// SETTINGS, both ways: RFC 9113, section 6.5.

import { readUint32 } from "../core/uint32.ts";
import { ConnectionError } from "./connection-error.ts";
import { ErrorCode } from "./error-code.ts";
import { defaultMaxFrameBytes, defaultWindowBytes, largestMaxFrameBytes, maxInt31 } from "./frame.ts";

const SettingId = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
} as const;

/** What one side allows the other; sizes in bytes. */
export interface Settings {
  headerTableBytes: number;
  maxConcurrentStreams: number;
  initialWindowBytes: number;
  maxFrameBytes: number;
  maxHeaderListBytes: number;
}

/** What holds before any SETTINGS has come: section 6.5.2. */
export function defaultSettings(): Settings {
  return {
    headerTableBytes: 4096,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowBytes: defaultWindowBytes,
    maxFrameBytes: defaultMaxFrameBytes,
    maxHeaderListBytes: Number.POSITIVE_INFINITY,
  };
}

/**
 * Reads a SETTINGS payload into `settings`; unknown ids are ignored. Returns the smallest header table that it allows on the way:
 * each value holds until the next (RFC 9113, section 6.5.3). Throws ConnectionError for values that cannot be.
 */
export function readSettings(
  settings: Settings,
  bytes: Uint8Array,
  from: number,
  to: number,
  fromServer: boolean,
): number {
  let smallestTableBytes = Number.POSITIVE_INFINITY;
  if ((to - from) % 6 !== 0) throw new ConnectionError(ErrorCode.frameSizeError, "SETTINGS is not a list of settings");
  for (let at = from; at < to; at += 6) {
    const id = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    const value = readUint32(bytes, at + 2);
    switch (id) {
      case SettingId.headerTableSize:
        settings.headerTableBytes = value;
        smallestTableBytes = Math.min(smallestTableBytes, value);
        break;
      case SettingId.enablePush:
        if (value > 1 || (fromServer && value === 1)) {
          throw new ConnectionError(ErrorCode.protocolError, `SETTINGS_ENABLE_PUSH is ${value}`);
        }
        break;
      case SettingId.maxConcurrentStreams:
        settings.maxConcurrentStreams = value;
        break;
      case SettingId.initialWindowSize:
        if (value > maxInt31) {
          throw new ConnectionError(ErrorCode.flowControlError, `SETTINGS_INITIAL_WINDOW_SIZE is ${value}`);
        }
        settings.initialWindowBytes = value;
        break;
      case SettingId.maxFrameSize:
        if (value < defaultMaxFrameBytes || value > largestMaxFrameBytes) {
          throw new ConnectionError(ErrorCode.protocolError, `SETTINGS_MAX_FRAME_SIZE is ${value}`);
        }
        settings.maxFrameBytes = value;
        break;
      case SettingId.maxHeaderListSize:
        settings.maxHeaderListBytes = value;
        break;
    }
  }
  return Math.min(smallestTableBytes, settings.headerTableBytes);
}

/** Our settings as a payload; those at their default are left out. A client also refuses pushes: section 6.5.2. */
export function writeSettings(settings: Settings, isClient: boolean): Uint8Array {
  const defaults = defaultSettings();
  const pairs: [number, number][] = [];
  if (isClient) pairs.push([SettingId.enablePush, 0]);
  const add = (id: number, name: keyof Settings) => {
    if (settings[name] !== defaults[name]) pairs.push([id, settings[name]]);
  };
  add(SettingId.headerTableSize, "headerTableBytes");
  if (!isClient) add(SettingId.maxConcurrentStreams, "maxConcurrentStreams");
  add(SettingId.initialWindowSize, "initialWindowBytes");
  add(SettingId.maxFrameSize, "maxFrameBytes");
  add(SettingId.maxHeaderListSize, "maxHeaderListBytes");
  const payload = new Uint8Array(pairs.length * 6);
  const view = new DataView(payload.buffer);
  for (const [index, [id, value]] of pairs.entries()) {
    view.setUint16(index * 6, id);
    view.setUint32(index * 6 + 2, value);
  }
  return payload;
}
