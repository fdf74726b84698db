import type { Painted, ServedPipeline } from '../../pictures/served-pipeline.js';
import { sizeText } from '../../pictures/size-text.js';
import type { RequestLog } from '../../request-log.js';

/** Says in the log that pictures were made: not of what, which is the client's own. */
export function notePictures(
  log: RequestLog,
  { name }: ServedPipeline,
  { pictures, size, scheduler, steps, seconds }: Painted,
): void {
  const rounded = Math.round(seconds * 1000) / 1000;
  log.info(
    { model: name, pictures: pictures.length, size: sizeText(size), scheduler, steps, seconds: rounded },
    'painted',
  );
}
