import { printable } from '../../../compiler/printable.js';
import { configFault } from './config-fault.js';
import type { WrittenConfig, WrittenTensor } from './written-config.js';

/**
 * Refuses what another program would have to run, and what would change the answers of a model if it were passed over.
 * @throws IpgraftError `SERVER_CONFIG`
 */
export function refuseUnserved(config: WrittenConfig, model: string): void {
  const { name, platform = '', backend = '' } = config;
  if (name !== undefined && name !== model)
    throw configFault(model, `name: sought the name of its folder, found “${printable(name)}”`);
  const isEnsemble = config.ensemble_scheduling !== undefined;
  const known = isEnsemble ? ['ensemble', ''] : ['onnxruntime_onnx', ''];
  if (!known.includes(platform))
    throw configFault(
      model,
      `platform: sought “${known[0]}”${isEnsemble ? '' : ', or “ensemble” with ensemble_scheduling'}, found “${printable(platform)}”`,
    );
  if (isEnsemble ? backend !== '' : !['onnxruntime', ''].includes(backend))
    throw configFault(
      model,
      `backend: sought ${isEnsemble ? 'none for an ensemble' : '“onnxruntime”'}, found “${printable(backend)}”`,
    );
  if (isEnsemble && (config.instance_group || config.model_warmup))
    throw configFault(model, 'an ensemble has neither instance_group nor model_warmup: its models have them');
  if (isEnsemble && config.response_cache?.enable)
    throw configFault(model, 'response_cache: not of an ensemble, but of its models');
  for (const field of [
    'sequence_batching',
    'batch_input',
    'batch_output',
    'model_operations',
    'model_repository_agents',
  ] as const)
    if (config[field] !== undefined) throw configFault(model, `${field} is not served`);
  if (config.model_transaction_policy?.decoupled)
    throw configFault(model, 'model_transaction_policy: decoupled models are not served');
  for (const tensor of [...(config.input ?? []), ...(config.output ?? [])]) refuseTensor(tensor, model);
}

function refuseTensor(tensor: WrittenTensor, model: string): void {
  const refused =
    (tensor.is_shape_tensor && 'is_shape_tensor') ||
    (tensor.is_non_linear_format_io && 'is_non_linear_format_io') ||
    (isReshaped(tensor) && 'reshape, but of [1] to a scalar,');
  if (refused) throw configFault(model, `“${printable(tensor.name ?? '')}”: ${refused} is not served`);
}

/** Whether the model is to see another shape. A scalar is written as `dims: [1] reshape { shape: [] }`, and taken as such anyway. */
function isReshaped({ dims = [], reshape }: WrittenTensor): boolean {
  if (reshape === undefined) return false;
  const { shape = [] } = reshape;
  return !(shape.length === 0 && dims.length === 1 && dims[0] === 1) && shape.join() !== dims.join();
}

/** Fields that are set and change nothing here: options of GPUs and of batching, names for metrics. */
export function idleFields(config: WrittenConfig): string[] {
  const { version_policy: policy } = config;
  const isOneVersion =
    policy === undefined ||
    (policy.all === undefined &&
      (policy.latest?.num_versions ?? 1) === 1 &&
      (policy.specific?.versions?.length ?? 1) === 1);
  return [
    ...(['runtime', 'optimization', 'cc_model_filenames', 'metric_tags', 'model_metrics'] as const).filter(
      (field) => config[field] !== undefined,
    ),
    ...(isOneVersion ? [] : ['version_policy (of several versions the highest is served)']),
    ...(config.dynamic_batching === undefined ? [] : ['dynamic_batching (but its default_queue_policy)']),
    ...(config.instance_group?.some(({ kind }) => kind === 'KIND_GPU') ? ['instance_group: kind'] : []),
    ...Object.keys(config.parameters ?? {})
      .filter((name) => name !== 'intra_op_thread_count')
      .map((name) => `parameter ${printable(name)}`),
  ];
}
