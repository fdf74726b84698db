import { createHash } from 'node:crypto';
import { html, Markup } from './markup.js';

/** A whole HTML document with its style and script inside. */
export interface Document {
  readonly title: string;
  readonly style: string;
  readonly script: string;
  /** By {@link policyOf} of the same style and script. */
  readonly policy: string;
  readonly head?: Markup;
  readonly body: Markup;
}

/** The document's text. */
export function documentOf({ title, style, script, policy, head, body }: Document): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
${head}<style>${new Markup(style)}</style>
</head>
<body>
${body}
<script>${new Markup(script)}</script>
</body>
</html>
`.text;
}

/**
 * A content security policy that lets nothing be loaded or run but this style and this script, by their digests; text from a file can become
 * neither.
 * @param more directives of what else is let
 */
export function policyOf(style: string, script: string, more: readonly string[] = []): string {
  return [
    "default-src 'none'",
    `style-src ${digest(style)}`,
    `script-src ${digest(script)}`,
    ...more,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
}

function digest(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
