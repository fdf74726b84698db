import type { Entry } from './entry.js';

/** What can happen where a model runs. */
export const SERVING_ERRORS = {
  RUNTIME_MISSING: {
    when: 'What was asked for runs a model, and onnxruntime-node is not installed.',
    hint: '`npm install onnxruntime-node` beside ipgraft.',
  },
  RUNTIME_LOAD: {
    when: 'ONNX Runtime does not load a model.',
    hint: 'Its message says why. When it refuses the base too, the model needs another provider or a newer version than onnxruntime-node has.',
  },
  RUNTIME_RUN: {
    when: 'ONNX Runtime does not run a model on the inputs that were made for it.',
    hint: 'Its message says why. Where a shape does not fit, give it: --shape INPUT=2x4x64x64.',
  },
  RUNTIME_PROVIDER: {
    when: 'ONNX Runtime loads the model on the CPU, and not on the provider that was asked for.',
    hint: 'Its message says what is missing: a driver, libraries (`npm rebuild onnxruntime-node --ignore-scripts=false` fetches those of CUDA), or the device.',
  },
  RUNTIME_ENGINE: {
    when: 'The attention is to be recomputed, and TensorFlow.js is not there or does not load.',
    hint: '`npm install @tensorflow/tfjs @tensorflow/tfjs-backend-wasm` beside ipgraft.',
  },
  SERVER_INPUT: {
    when: 'A tensor of a request does not fit the model: its name, type, shape, length or values.',
    hint: 'Its message names the tensor, what was sought and what was found; the metadata of the model lists its inputs and outputs.',
  },
  SERVER_BUSY: {
    when: 'As many requests wait for a model as its queue holds, or the model is being closed.',
    hint: 'Ask again later; more workers, or a longer queue, take more at once.',
  },
  SERVER_TIMEOUT: {
    when: 'A request waited or ran longer than it may.',
    hint: 'Ask again with more time, or give the model more workers.',
  },
  SERVER_CANCELLED: {
    when: 'A request was given up by whoever made it, or the model was closed before it was done.',
    hint: 'Nothing is wrong with the model: ask again.',
  },
  SERVER_WORKER_LOST: {
    when: 'The process that ran a request ended before it had answered.',
    hint: 'Another process takes its place: ask again. When it happens with each such request, memory may be short.',
  },
  SERVER_REQUEST: {
    when: 'A request breaks the protocol, or asks for what it does not offer.',
    hint: 'docs/serving.md says what is spoken.',
  },
  SERVER_TOO_LARGE: {
    when: 'A request is larger than the server takes, as it came or decompressed.',
    hint: 'Send less at once, or start the server with a larger --max-body.',
  },
  SERVER_ANSWER_TOO_LARGE: {
    when: 'What a model gives for a request is larger than the server sends.',
    hint: 'Ask for fewer outputs or smaller ones, as bytes rather than JSON, or start the server with a larger --max-body.',
  },
  SERVER_ENCODING: {
    when: 'A request is compressed in a way that the server does not know.',
    hint: 'Compress with gzip or deflate, or not at all.',
  },
  SERVER_UNAUTHORIZED: {
    when: 'A request brings no token, or a wrong one.',
    hint: 'Send the header `Authorization: Bearer TOKEN` with the token that the server was started with.',
  },
  SERVER_FORBIDDEN: {
    when: 'A request asks for what its token does not allow, or what is switched off.',
    hint: 'Models are loaded and unloaded under --model-control explicit, with the admin token.',
  },
  SERVER_ORIGIN: {
    when: 'A request comes from a web page of another origin, or by a name that the server does not know for its own.',
    hint: 'Start the server with --allow-origin ORIGIN for pages, with --allow-host NAME for names.',
  },
  SERVER_RATE_LIMIT: {
    when: 'A client asks more often than --rate-limit lets it.',
    hint: 'Ask again after as many seconds as the header Retry-After says.',
  },
  SERVER_MODEL_UNKNOWN: {
    when: 'A request names a model, or a version, that the repository does not have.',
    hint: '`POST /v2/repository/index` lists what there is.',
  },
  SERVER_MODEL_NOT_READY: {
    when: 'A request names a model that is not loaded, is being loaded or unloaded, or has no process left that runs it.',
    hint: 'Load it, or wait until it is ready.',
  },
  SERVER_UNSUPPORTED: {
    when: 'A request uses a part of the protocol that this server does not offer.',
    hint: 'docs/serving.md says what is spoken.',
  },
  SERVER_REPOSITORY: {
    when: 'The folder to serve is no model repository, or holds no model.',
    hint: 'Lay models out as DIR/MODEL/VERSION/model.onnx, such as models/unet/1/model.onnx.',
  },
  SERVER_CONFIG: {
    when: 'A config.pbtxt cannot be read, says something that its model is not, or asks for what this server does not do.',
    hint: 'docs/serving.md says which of its fields are honoured.',
  },
  SERVER_LISTEN: {
    when: 'The server cannot listen where it was told to.',
    hint: 'Choose another --port or --host, or end what listens there.',
  },
} as const satisfies Record<string, Entry>;
