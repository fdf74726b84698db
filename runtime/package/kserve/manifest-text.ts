import { VERSION } from '../../version.js';
import type { Manifest } from './manifests.js';

/**
 * Manifests as YAML, a document each. Texts are always quoted: what YAML 1.1 and 1.2 read differently (`no`, `1e3`, `0o7`) stays a text for
 * both.
 */
export async function manifestText(documents: readonly Manifest[]): Promise<string> {
  const { stringify } = await import('yaml');
  const options = { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 } as const;
  const texts = documents.map((document) =>
    stringify(document, { ...options, aliasDuplicateObjects: false }),
  );
  return `# ipgraft ${VERSION}: kubectl apply -f THIS_FILE\n${texts.join('---\n')}`;
}
