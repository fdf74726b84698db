import { describe, type Edit } from '../compiler/edit/edit.js';
import { dataTypeName } from '../compiler/onnx/data-type.js';
import type { Dimension } from '../compiler/onnx/value-info.js';
import type { PatchedModel } from './compile.js';
import { VERSION } from './version.js';
import type { WrittenModel } from './write-patched.js';

/** What a compilation found and did, as data: `--report FILE` and `--json`. */
export interface CompileReport {
  readonly ipgraft: string;
  readonly base: {
    readonly file: string;
    readonly bytes: number;
    readonly opset: number;
    readonly irVersion: number;
    readonly nodes: number;
  };
  readonly adapters: readonly {
    readonly name: string;
    /** Per image. */
    readonly tokens: number;
    readonly images: number;
    readonly family: string | null;
    readonly sha256: string | null;
  }[];
  readonly textInput: string;
  readonly tokens: string;
  readonly scale: string;
  /** The inputs of the patched model. */
  readonly inputs: readonly {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly Dimension[] | null;
  }[];
  /** Every cross-attention in checkpoint order, and whence its module path was read. */
  readonly crossAttentions: readonly {
    readonly id: number;
    readonly scope: string;
    readonly source: string;
    readonly width: number;
    readonly selected: boolean;
  }[];
  /** Each pass with how many edits of which kind it made, and each of them in a line. */
  readonly passes: readonly {
    readonly name: string;
    readonly counts: Readonly<Partial<Record<Edit['kind'], number>>>;
    readonly edits: readonly string[];
  }[];
  /** What the user should know. */
  readonly notes: readonly string[];
  /** `null` for a dry run. */
  readonly written: WrittenModel | null;
}

/** The report of a compilation; `written` is what was (or would be) written, `null` when nothing was planned. */
export function reportOf(patched: PatchedModel, written: WrittenModel | null): CompileReport {
  const { opened, graph, located, grafts, plan, options, passes } = patched;
  return {
    ipgraft: VERSION,
    base: {
      file: opened.source.name,
      bytes: opened.source.size,
      opset: graph.opset,
      irVersion: graph.irVersion,
      nodes: opened.graph.nodes.length,
    },
    adapters: grafts.map(({ name, tokens, images, adapter }) => ({
      name,
      tokens,
      images,
      family: adapter?.projection.family ?? null,
      sha256: adapter?.sha256 ?? null,
    })),
    textInput: located.textInput,
    tokens: plan?.tokens ?? 'split',
    scale: options.scale ?? 'input',
    inputs: [...graph.inputs.values()].map(({ name, dataType, shape }) => ({
      name,
      type: dataTypeName(dataType),
      shape,
    })),
    crossAttentions: located.attentions.map(({ id, scope, source, width, selected }) => ({
      id,
      scope,
      source,
      width,
      selected,
    })),
    passes: passes.map(({ pass, edits }) => ({
      name: pass,
      counts: countKinds(edits),
      // Thousands of lines, which only who asks for the report as data reads.
      get edits() {
        return edits.map(describe);
      },
    })),
    notes: notesOf(patched, written),
    written,
  };
}

function countKinds(edits: readonly Edit[]): Partial<Record<Edit['kind'], number>> {
  const counts: Partial<Record<Edit['kind'], number>> = {};
  for (const { kind } of edits) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function notesOf({ located, grafts, plan, options }: PatchedModel, written: WrittenModel | null): string[] {
  const total =
    options.dropImageTokens ?? grafts.reduce((sum, { tokens, images }) => sum + tokens * images, 0);
  const notes: string[] = [];
  if ((plan?.tokens ?? 'split') === 'split') {
    notes.push(
      `${located.textInput} now carries the text and then ${total} image tokens; a caller that brings text alone loses its last ${total} tokens.`,
    );
  }
  if (options.scale?.startsWith('optional')) {
    notes.push('onnxruntime-node does not let a caller override ip_scale: there its default always holds.');
  }
  if (plan?.hoist)
    notes.push(
      'ip_kv is what the .kv.onnx beside the model gives: run that once per image, not at every step.',
    );
  const left = located.attentions.filter(({ selected }) => !selected).length;
  if (left > 0) notes.push(`${left} cross-attentions do not match the pattern and stay as they were.`);
  if (written !== null && written.needs.length > 0) {
    notes.push(`The result names weights inside ${written.needs.join(', ')}: keep these files beside it.`);
  }
  return notes;
}
