import { bodyOf, inferUrl, type RequestTo } from './request.js';

/** The request as commands of a POSIX shell. */
export function curlRequest(request: RequestTo): string {
  const { json, tail, hasBinaryReply } = bodyOf(request);
  const type = tail > 0 ? 'application/octet-stream' : 'application/json';
  const parts = [
    `curl -sS --fail-with-body ${shell(inferUrl(request))}`,
    ...(request.hasToken ? ['-H "Authorization: Bearer $IPGRAFT_TOKEN"'] : []),
    `-H 'Content-Type: ${type}'`,
    ...(tail > 0
      ? [`-H "Inference-Header-Content-Length: \${#json}"`, '--data-binary @-']
      : [`-d ${shell(json)}`]),
    // The head on the screen says where the JSON of the file ends; of an error the file is the text.
    ...(hasBinaryReply ? ['-D - -o reply.bin || cat reply.bin'] : []),
  ];
  const command = parts.join(' \\\n  ');
  if (tail === 0) return command;
  return `json=${shell(json)}\n{ printf %s "$json"; head -c ${tail} /dev/zero; } | ${command}`;
}

function shell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
