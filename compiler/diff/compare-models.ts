import type { ModelFolder } from '../io/model-folder.js';
import { externalSegment } from '../onnx/external-data.js';
import type { Model } from '../onnx/read-model.js';
import { FUNCTION, MODEL, OPSET } from '../onnx/schema.js';
import { readEntry } from '../onnx/tensor-header.js';
import { fields, integer, text } from '../wire/fields.js';
import { Rope } from '../wire/rope.js';
import { functionBody, graphBody, recordsOf } from './body.js';
import { compareBodies } from './compare-bodies.js';
import { firstDifference, type OnCompared } from './compare-data.js';
import type { Data } from './compare-tensor.js';
import {
  type Change,
  type Counts,
  KINDS,
  type Kind,
  type ModelDiff,
  type Side,
  SUBJECTS,
  type Subject,
} from './model-diff.js';
import { type Findings, Reporter } from './reporter.js';

/** A model with the folder that holds its external data. */
export interface ComparedModel extends Model {
  readonly folder: ModelFolder;
}

/**
 * Compares any two models, record by record. What names what is found by bytes first, then along the dataflow, so that other names or
 * numbers in names do not make other nodes. Tensor data at one place of one file is equal without being read; other data is read in
 * pieces as far as the first difference, never whole. Nothing is proved here: `proof` is `null`.
 */
export async function compareModels(
  a: ComparedModel,
  b: ComparedModel,
  onCompared?: OnCompared,
): Promise<ModelDiff> {
  const findings: Findings = { changes: [], compared: new Map() };
  const data: Data = {
    external: async (side, external) =>
      new Rope([await externalSegment((side === 'a' ? a : b).folder, external)]),
    firstDifference: (x, y) => firstDifference(x, y, onCompared),
  };
  const [ours, theirs] = [partsOf(a.file), partsOf(b.file)];
  const report = new Reporter('', findings);
  const same = async (x: Rope, y: Rope) => (await firstDifference(x, y)) === null;
  await report.rest(ours.rest, theirs.rest, same, MODEL_FIELDS);
  compareTexts(report, 'opset', ours.opsets, theirs.opsets);
  compareTexts(report, 'metadata', ours.metadata, theirs.metadata);
  await compareBodies(
    graphBody(ours.graph, a.graph),
    graphBody(theirs.graph, b.graph),
    '',
    new Map(),
    data,
    findings,
  );
  for (const name of new Set([...ours.functions.keys(), ...theirs.functions.keys()])) {
    const [x, y] = [ours.functions.get(name), theirs.functions.get(name)];
    if (x === undefined || y === undefined) {
      report.add('function', x ? name : null, y ? name : null, '', [{ kind: x ? 'removed' : 'added' }]);
      continue;
    }
    const inside: Findings = { changes: [], compared: new Map() };
    await compareBodies(functionBody(x), functionBody(y), `function ${name}`, new Map(), data, inside);
    const isSame = inside.changes.length === 0;
    report.add('function', name, name, '', isSame ? [] : [BODY]);
    findings.changes.push(...inside.changes);
    if (!isSame) for (const [subject, count] of inside.compared) addTo(findings, subject, count);
  }
  const changes = inOrder(findings.changes);
  return { a: side(a), b: side(b), counts: countsOf(findings.compared, changes), changes, proof: null };
}

const BODY = { kind: 'changed', what: 'body', from: null, to: null } as const;

function addTo({ compared }: Findings, subject: Subject, count: number): void {
  compared.set(subject, (compared.get(subject) ?? 0) + count);
}

/** Fields of a ModelProto that are compared as wholes. */
const MODEL_FIELDS: Readonly<Record<number, string>> = {
  [MODEL.irVersion]: 'ir_version',
  [MODEL.producerName]: 'producer_name',
  3: 'producer_version',
  4: 'domain',
  5: 'model_version',
  6: 'doc_string',
  20: 'training_info',
};

interface Parts {
  readonly graph: Rope;
  readonly opsets: ReadonlyMap<string, string>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly functions: ReadonlyMap<string, Rope>;
  readonly rest: ReturnType<typeof recordsOf>;
}

function partsOf(file: Rope): Parts {
  const opsets = new Map<string, string>();
  const metadata = new Map<string, string>();
  const functions = new Map<string, Rope>();
  const rest: ReturnType<typeof recordsOf> = [];
  let graph = file.slice(0, 0);
  for (const record of recordsOf(file)) {
    const { number, content } = record;
    if (number === MODEL.graph) graph = content;
    else if (number === MODEL.opsetImport) {
      const entry = fields(content);
      const domain = entry.find((field) => field.number === OPSET.domain);
      const version = entry.find((field) => field.number === OPSET.version);
      opsets.set(
        domain === undefined ? '' : text(content, domain),
        String(version && integer(content, version)),
      );
    } else if (number === MODEL.metadata) metadata.set(...readEntry(content));
    else if (number === MODEL.functions) functions.set(functionName(content), content);
    else rest.push(record);
  }
  return { graph, opsets, metadata, functions, rest };
}

/** Domain, name and overload tell a function from others. */
function functionName(message: Rope): string {
  const part = (number: number) => {
    const field = fields(message).find((each) => each.number === number);
    return field === undefined ? '' : text(message, field);
  };
  return [part(FUNCTION.domain), part(FUNCTION.name), part(FUNCTION.overload)]
    .filter((each) => each !== '')
    .join('::');
}

function compareTexts(
  report: Reporter,
  subject: Subject,
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): void {
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const [from, to] = [a.get(key), b.get(key)];
    const name = key === '' ? 'ai.onnx' : key;
    if (from === undefined) report.add(subject, null, name, '', [{ kind: 'added' }]);
    else if (to === undefined) report.add(subject, name, null, '', [{ kind: 'removed' }]);
    else
      report.add(subject, name, name, '', from === to ? [] : [{ kind: 'changed', what: 'value', from, to }]);
  }
}

function inOrder(changes: readonly Change[]): Change[] {
  const place = new Map(SUBJECTS.map((subject, i) => [subject, i]));
  return changes.toSorted((x, y) => place.get(x.subject)! - place.get(y.subject)!);
}

/** The kind of a change that counts most. */
export function kindOf({ aspects }: Change): Kind {
  return KINDS.find((kind) => aspects.some((aspect) => aspect.kind === kind))!;
}

function countsOf(
  compared: ReadonlyMap<Subject, number>,
  changes: readonly Change[],
): Record<Subject, Counts> {
  const none = Object.fromEntries(['unchanged', ...KINDS].map((kind) => [kind, 0])) as Record<
    'unchanged' | Kind,
    number
  >;
  const counts = Object.fromEntries(
    SUBJECTS.map((subject) => [subject, { ...none, unchanged: compared.get(subject) ?? 0 }]),
  ) as Record<Subject, Record<'unchanged' | Kind, number>>;
  for (const change of changes) {
    counts[change.subject].unchanged -= 1;
    counts[change.subject][kindOf(change)] += 1;
  }
  return counts;
}

function side({ source, file, graph }: Model): Side {
  const { irVersion, opset, nodes } = graph;
  return { file: source.name, bytes: file.length, irVersion, opset, nodes: nodes.length };
}
