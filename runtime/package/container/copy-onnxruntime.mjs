// Copies onnxruntime-node for this system and processor, with what it needs to run, into a folder: `node copy-onnxruntime.mjs FOLDER`.
import { cpSync } from 'node:fs';
import { join } from 'node:path';

/** Of a path below the binaries: platform and architecture. */
const BINARIES = /\/bin\/napi-v\d+\/([^/]+)(?:\/([^/]+))?/;

for (const name of ['onnxruntime-node', 'onnxruntime-common'])
  cpSync(join('node_modules', name), join(process.argv[2], name), {
    recursive: true,
    filter: (path) => {
      const [, platform = process.platform, arch = process.arch] = BINARIES.exec(path) ?? [];
      return platform === process.platform && arch === process.arch;
    },
  });
