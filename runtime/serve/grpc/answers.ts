import { IpgraftError } from '../../../compiler/errors.js';
import type { Access } from '../access.js';
import { configJson } from '../config/config-json.js';
import { modelMetadata, modelStatistics, serverMetadata } from '../metadata.js';
import type { LoadedModel } from '../repository/loaded-model.js';
import { namedModel } from '../repository/named-model.js';
import { loadByRequest, repositoryIndex, unloadByRequest } from '../repository/repository-requests.js';
import type { RequestLog } from '../request-log.js';
import type { Service } from '../service.js';
import { infer, type WaitingCall } from './infer.js';
import type { ModelInferRequest } from './infer-request.js';

/** A call that is being answered. */
export interface Answering extends WaitingCall {
  readonly log: RequestLog;
}

/** How a method is answered that has one request and one answer. */
export interface Answered {
  readonly access: Access;
  readonly quiet?: boolean;
  /** Makes the answer, in the words of the protocol. */
  // biome-ignore lint/suspicious/noExplicitAny: the messages of the protocol say what a request is
  readonly answer: (request: any, service: Service, call: Answering) => object | Promise<object>;
}

interface NamedRequest {
  readonly name: string;
  readonly version: string;
}

interface RepositoryRequest {
  readonly repository_name: string;
  readonly model_name: string;
  readonly parameters: Readonly<Record<string, { readonly bool_param?: boolean }>>;
}

const open = { access: 'open', quiet: true } as const;

/** The methods of the inference service but its stream, by name. */
export const ANSWERS: Readonly<Record<string, Answered>> = {
  ServerLive: { ...open, answer: () => ({ live: true }) },
  ServerReady: { ...open, answer: (_, { isDraining }) => ({ ready: !isDraining }) },
  ModelReady: { ...open, answer: (request, service) => ({ ready: isReady(request, service) }) },
  ServerMetadata: { access: 'token', answer: serverMetadata },
  ModelMetadata: {
    access: 'token',
    answer: (request, service) => modelMetadata(find(request, service)),
  },
  ModelConfig: {
    access: 'token',
    answer: (request, service) => {
      const { name, config, model } = find(request, service);
      return { config: configJson(name, config, model) };
    },
  },
  ModelStatistics: {
    access: 'token',
    answer: (request: NamedRequest, service) => {
      const models = request.name === '' ? service.repository.ready : [find(request, service)];
      return { model_stats: models.map(modelStatistics) };
    },
  },
  ModelInfer: {
    access: 'token',
    answer: (request: ModelInferRequest, service, call) => infer(request, call, service),
  },
  RepositoryIndex: {
    access: 'token',
    answer: async (request: RepositoryRequest & { readonly ready: boolean }, service) => {
      refuseOtherRepository(request);
      return { models: await repositoryIndex(service, request.ready) };
    },
  },
  RepositoryModelLoad: {
    access: 'admin',
    answer: async (request: RepositoryRequest, service, { id, log }) => {
      refuseOtherRepository(request);
      const { name } = namedModel(request.model_name, undefined);
      await loadByRequest(service, {
        name,
        parameters: Object.keys(request.parameters).length,
        id,
        log,
      });
      return {};
    },
  },
  RepositoryModelUnload: {
    access: 'admin',
    answer: async (request: RepositoryRequest, service) => {
      refuseOtherRepository(request);
      const { name } = namedModel(request.model_name, undefined);
      await unloadByRequest(service, name, request.parameters.unload_dependents?.bool_param === true);
      return {};
    },
  },
};

function find({ name, version }: NamedRequest, { repository }: Service): LoadedModel {
  const model = namedModel(name, version || undefined);
  return repository.find(model.name, model.version);
}

/** In gRPC a model that is not there is no error, but not ready. */
function isReady(request: NamedRequest, service: Service): boolean {
  try {
    find(request, service);
    return true;
  } catch (error) {
    if (error instanceof IpgraftError && /^SERVER_MODEL_/.test(error.code)) return false;
    throw error;
  }
}

function refuseOtherRepository({ repository_name: name }: RepositoryRequest): void {
  if (name !== '')
    throw new IpgraftError('SERVER_UNSUPPORTED', 'there is one repository: sought no repository_name');
}
