import { type WriteOptions, writeFiles } from '../../compiler/io/write-files.js';
import { Rope } from '../../compiler/wire/rope.js';

/** Writes a report to `path`. @throws IpgraftError `OUTPUT_EXISTS` without `force`, `OUTPUT_IS_INPUT`, `OUTPUT_FAILED` */
export async function writeReport(path: string, text: string, options: WriteOptions): Promise<void> {
  await writeFiles([{ path, content: Rope.ofText(text) }], options);
}
