import { quote } from '../serve/request.js';
import type { CommandFor } from './cli-command.js';
import { imagesOf } from './request-body.js';
import { generationsUrl, requestText } from './request-text.js';

/** The request as TypeScript for Node. */
export function typescriptCommand(command: CommandFor): string {
  const hasImages = imagesOf(command.wish).length > 0;
  const body = requestText(command, { image: (name) => `await image(${quote(name)})`, text: (part) => part });
  return [
    `import { ${hasImages ? 'readFile, ' : ''}writeFile } from 'node:fs/promises';`,
    '',
    ...(hasImages
      ? ["const image = async (path: string) => (await readFile(path)).toString('base64');"]
      : []),
    `const reply = await fetch(${quote(generationsUrl(command))}, {`,
    "  method: 'POST',",
    '  headers: {',
    ...(command.hasToken ? [`    Authorization: \`Bearer \${process.env.IPGRAFT_TOKEN}\`,`] : []),
    "    'Content-Type': 'application/json',",
    '  },',
    `  body: JSON.stringify(${body.replaceAll('\n', '\n  ')}),`,
    '});',
    'if (!reply.ok) throw new Error(await reply.text());',
    'const { data } = await reply.json();',
    `await writeFile(${quote(command.output)}, Buffer.from(data[0].b64_json, 'base64'));`,
  ].join('\n');
}
