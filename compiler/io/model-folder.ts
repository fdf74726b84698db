import { IpgraftError } from '../errors.js';
import type { ByteSource } from './byte-source.js';

/** The files beside a model, by the names that its external data uses. Who implements it keeps every name inside the folder. */
export interface ModelFolder {
  /** Size of a file in bytes; `null` when there is none. @throws IpgraftError `MODEL_EXTERNAL_ESCAPES` */
  size(location: string): Promise<number | null>;
  /** Opens a file once; it stays open until `close`. @throws IpgraftError `MODEL_EXTERNAL_*` */
  open(location: string): Promise<ByteSource>;
  close(): Promise<void>;
}

/**
 * A location must be a plain relative path below the model's folder: no root, no drive, no `..`, no backslash.
 * @throws IpgraftError `MODEL_EXTERNAL_ESCAPES`
 */
export function checkLocation(location: string): void {
  const parts = location.split('/');
  const plain =
    location !== '' &&
    !location.includes('\\') &&
    !location.includes('\0') &&
    !/^[A-Za-z]:/.test(location) &&
    parts.every((part) => part !== '' && part !== '..');
  if (plain) return;
  throw new IpgraftError(
    'MODEL_EXTERNAL_ESCAPES',
    `sought a relative path below the model's folder, found “${location}”`,
    { location },
  );
}
