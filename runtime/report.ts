import { describe, type Edit } from '../compiler/edit/edit.js';
import { dataTypeName } from '../compiler/onnx/data-type.js';
import type { Dimension } from '../compiler/onnx/value-info.js';
import type { Family } from '../passes/adapter/image-projection.js';
import type { CrossAttention } from '../passes/locate-cross-attention.js';
import type { TokenSource } from '../passes/plan.js';
import type { PatchedModel } from './compile.js';
import { VERSION } from './version.js';
import type { WrittenModel } from './write-patched.js';

/** What a compilation found and did, as data: `--report FILE` and `--json`. */
export interface CompileReport {
  /** Version of ipgraft. */
  readonly ipgraft: string;
  /** The model that was patched. */
  readonly base: {
    /** Its name, without folder. */
    readonly file: string;
    /** Size of the file, without data files beside it. */
    readonly bytes: number;
    /** Of ONNX's own operators. */
    readonly opset: number;
    /** Version of the file format, as the file says it. */
    readonly irVersion: number;
    /** In the main graph, before anything is inserted. */
    readonly nodes: number;
  };
  /** In the order in which their tokens follow the text. Empty where image tokens are only dropped. */
  readonly adapters: readonly {
    /** Of its file; `text weights` where weights are copied from the text's. */
    readonly name: string;
    /** Image tokens per image. */
    readonly tokens: number;
    /** How many images it reads. */
    readonly images: number;
    /** `null` where weights are copied from the text's. */
    readonly family: Family | null;
    /** Of the checkpoint's file; `null` where there is none. */
    readonly sha256: string | null;
  }[];
  /** The graph input with the text states. */
  readonly textInput: string;
  /** Where image tokens come from, as the option says it. */
  readonly tokens: TokenSource;
  /** As it was asked for: `input`, `layers`, `rows`, `optional=N`, a number or JSON. */
  readonly scale: string;
  /** The inputs of the patched model. */
  readonly inputs: readonly {
    /** As callers feed it. */
    readonly name: string;
    /** Of the elements, as ONNX calls it: `float`, `float16`, `int64`. */
    readonly type: string;
    /** `null` where even the rank is unknown. */
    readonly shape: readonly Dimension[] | null;
  }[];
  /** Every cross-attention in checkpoint order, and whence its module path was read. */
  readonly crossAttentions: readonly {
    /** The checkpoint's layer id: 1, 3, 5, …. */
    readonly id: number;
    /** Module path as diffusers names it. */
    readonly scope: string;
    /** Whence that was read. */
    readonly source: CrossAttention['source'];
    /** Of what to_k and to_v give. */
    readonly width: number;
    /** Whether the pattern matches it, so that it was patched. */
    readonly selected: boolean;
  }[];
  /** Each pass with how many edits of which kind it made, and each of them in a line. */
  readonly passes: readonly {
    /** As in docs/passes.md. */
    readonly name: string;
    /** How many edits of which kind it made. */
    readonly counts: Readonly<Partial<Record<Edit['kind'], number>>>;
    /** Each edit in a line. */
    readonly edits: readonly string[];
  }[];
  /** What the user should know. */
  readonly notes: readonly string[];
  /** What was written, or would be; `null` for a dry run without output. */
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
      'ip_kv is what the model of keys and values, written with this one, gives: run that once per image, not at every step.',
    );
  const left = located.attentions.filter(({ selected }) => !selected).length;
  if (left > 0) notes.push(`${left} cross-attentions do not match the pattern and stay as they were.`);
  if (written !== null && written.needs.length > 0) {
    notes.push(`The result names weights inside ${written.needs.join(', ')}: keep these files beside it.`);
  }
  return notes;
}
