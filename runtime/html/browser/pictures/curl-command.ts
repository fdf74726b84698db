import { type CommandFor, shell } from './cli-command.js';
import { generationsUrl, requestText } from './request-text.js';

/** The request as commands of a POSIX shell. */
export function curlCommand(command: CommandFor): string {
  const json = requestText(command, {
    image: (name) => `"$(base64 < ${shell(name)} | tr -d '\\n')"`,
    // What a shell reads in a here-document.
    text: (part) => part.replace(/[\\$`]/g, '\\$&'),
  });
  const lines = [
    `curl -sS --fail-with-body ${shell(generationsUrl(command))}`,
    ...(command.hasToken ? ['-H "Authorization: Bearer $IPGRAFT_TOKEN"'] : []),
    "-H 'Content-Type: application/json'",
    // Of an error the file is the text.
    '-o answer.json --data-binary @- <<JSON || cat answer.json',
  ];
  const read = `sed -n 's/.*"b64_json":"\\([^"]*\\)".*/\\1/p' answer.json | base64 -d > ${shell(command.output)}`;
  return `${lines.join(' \\\n  ')}\n${json}\nJSON\n${read}`;
}
