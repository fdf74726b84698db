import { answerInference, type Waiting } from '../answer-inference.js';
import { namedModel } from '../repository/named-model.js';
import type { Service } from '../service.js';
import { type ModelInferRequest, readInferRequest } from './infer-request.js';

/** Whoever waits for the answer to one request. */
export interface WaitingCall extends Waiting {
  /** Of the call; the answer's where the request has none. */
  readonly id: string;
}

/**
 * A ModelInferResponse. Elements go raw, as Triton's do whatever the request was like.
 * @throws IpgraftError `SERVER_REQUEST`, and as running the model does
 */
export async function infer(
  request: ModelInferRequest,
  waiting: WaitingCall,
  service: Service,
): Promise<object> {
  const { name, version } = namedModel(request.model_name, request.model_version || undefined);
  const loaded = service.repository.find(name, version);
  const asked = readInferRequest(request, loaded.model);
  return answerInference(loaded, asked, waiting, service, (outputs) => ({
    model_name: name,
    model_version: loaded.version,
    id: request.id || waiting.id,
    ...(asked.saysFinal && { parameters: { triton_final_response: { bool_param: true } } }),
    outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    raw_output_contents: outputs.map(({ data }) => data),
  }));
}
