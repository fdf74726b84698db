/** What an error is about, as plain data: printed under the message and kept in `--json` output. */
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly (string | number)[]>>;

interface Entry {
  /** One line for `docs/errors.md`: when this error appears. */
  readonly when: string;
  /** What the user can do about it. */
  readonly hint: string;
}

/**
 * Every error there is. The part before the first underscore is the family; it decides the exit code.
 * `docs/errors.md` is generated from this table, so a code cannot be undocumented.
 */
export const CATALOGUE = {
  WIRE_TRUNCATED: {
    when: 'A record says it is longer than what is left of the file.',
    hint: 'The file is cut off: download or export it again.',
  },
  WIRE_MALFORMED: {
    when: 'The bytes are not a protobuf message where one must be.',
    hint: 'Check that this is the ONNX file itself and that the download is complete.',
  },
  MODEL_NOT_ONNX: {
    when: 'The file is something else than an ONNX model.',
    hint: "Give the .onnx file of the UNet (in optimum's folders: unet/model.onnx).",
  },
  MODEL_EMPTY: {
    when: "The model's graph has no nodes.",
    hint: 'Export the model again.',
  },
  MODEL_DUPLICATE_NAME: {
    when: 'Two initializers, inputs or outputs bear one name.',
    hint: 'The file is not a legal ONNX model: export it again.',
  },
  MODEL_ALREADY_PATCHED: {
    when: 'The model already carries an IP-Adapter of ipgraft.',
    hint: 'Start from the base model, or get it back with `ipgraft strip`.',
  },
  MODEL_NOT_PATCHED: {
    when: 'A patched model was sought, the file has no ipgraft metadata.',
    hint: 'Give a file that `ipgraft compile` wrote.',
  },
  MODEL_EXTERNAL_ESCAPES: {
    when: "An external-data location leaves the model's folder.",
    hint: 'Do not use this file: a location must be a plain relative path below the model.',
  },
  MODEL_EXTERNAL_MISSING: {
    when: 'An external-data file does not exist.',
    hint: 'Put the file beside the model, under the name that the model gives it.',
  },
  MODEL_EXTERNAL_TRUNCATED: {
    when: 'An external-data file is shorter than the model says.',
    hint: 'The data file is cut off or belongs to another model: download or export it again.',
  },
  MODEL_SUBGRAPH_READS_TEXT: {
    when: 'A control-flow subgraph reads the text input.',
    hint: 'Export the UNet without If or Loop nodes (simplify it, for example with onnxslim).',
  },
  MODEL_TYPE_UNSUPPORTED: {
    when: 'The model computes in a type that ipgraft cannot write.',
    hint: 'Use a float, float16 or bfloat16 model.',
  },
  MATCH_TEXT_INPUT: {
    when: 'The input that carries the text embeddings was not found.',
    hint: 'Name it with --text-input.',
  },
  MATCH_NO_CROSS_ATTENTION: {
    when: 'No cross-attention was found.',
    hint: 'Check that the file is a UNet with text conditioning; where its modules have other names, pass --pattern.',
  },
  MATCH_UNCONFIRMED: {
    when: 'Names and dataflow disagree about the cross-attentions.',
    hint: 'Pass a --pattern that matches the cross-attentions only, or export the model again.',
  },
  MATCH_NO_SCOPE: {
    when: 'A cross-attention was found whose module path is unknown, so that its place in the checkpoint is unknown too.',
    hint: "Give a model that still has its node names, or its initializers' names.",
  },
  MATCH_PLACE: {
    when: 'A module path does not tell the place in the UNet (down_blocks, mid_block or up_blocks).',
    hint: "Pass --pattern so that only attentions of the UNet's blocks match.",
  },
  MATCH_PATTERN: {
    when: 'The pattern matches no cross-attention.',
    hint: '`ipgraft inspect MODEL.onnx` lists the scopes that a pattern can match.',
  },
  ADAPTER_FAMILY_UNKNOWN: {
    when: 'The checkpoint is not an IP-Adapter of a known family.',
    hint: 'docs/adapters.md lists the families and containers that are known.',
  },
  ADAPTER_NOT_FOR_UNET: {
    when: 'The checkpoint is an adapter for another kind of model (SD3, Flux), or of another rule (PuLID).',
    hint: 'ipgraft serves adapters of UNets: ids 1, 3, 5…, no biases, no norm_ip.',
  },
  ADAPTER_LAYERS: {
    when: "The checkpoint's layers are not complete pairs of to_k_ip and to_v_ip with ids 1, 3, 5….",
    hint: 'The file is damaged or converted wrongly: use the published one.',
  },
  ADAPTER_LORA: {
    when: 'A LoRA of a FaceID checkpoint is not a pair of down [r, in] and up [out, r], or does not fit its layer.',
    hint: 'The file is damaged or for another UNet: use the published one.',
  },
  MATCH_LORA: {
    when: 'A Linear that a FaceID adapter changes was not found by its name, or its weight cannot be added to.',
    hint: 'Export the UNet in floats with its names, or leave the LoRA out with --lora-scale 0.',
  },
  ADAPTER_COUNT: {
    when: 'The adapter has another number of layers than the UNet has cross-attentions.',
    hint: 'The adapter is for another UNet (SD1.5 and SD2.1 have 16 layers, SDXL has 70).',
  },
  ADAPTER_WIDTH: {
    when: "A layer of the adapter has another width than the UNet's cross-attention.",
    hint: 'The adapter is for another UNet: SD1.5 has text width 768, SD2.1 1024, SDXL 2048.',
  },
  ADAPTER_PROJECTION: {
    when: 'The image projection of the checkpoint is incomplete or its shapes disagree.',
    hint: 'The file is damaged or converted wrongly: use the published one.',
  },
  ADAPTER_NOT_A_CHECKPOINT: {
    when: 'The file given as the adapter is something else than a checkpoint.',
    hint: 'Give the weights of the adapter: a .safetensors file, or a .bin or .pt file that torch wrote.',
  },
  ADAPTER_LEGACY_TORCH: {
    when: 'The checkpoint is in a format of torch before 1.6, or a bare pickle.',
    hint: "Save it again with torch 1.6 or later, or use the adapter's .safetensors.",
  },
  ADAPTER_TRUNCATED: {
    when: 'The checkpoint ends before its weights do.',
    hint: 'The download is incomplete: fetch the file again.',
  },
  ADAPTER_SAFETENSORS_MALFORMED: {
    when: 'A .safetensors file breaks the rules of its format.',
    hint: 'The file is damaged: fetch it again.',
  },
  ADAPTER_ZIP_MALFORMED: {
    when: 'A torch checkpoint is not a sound zip archive, or a checksum in it does not hold.',
    hint: 'The file is damaged: fetch it again. If it was saved without checksums (set_crc32_options(False)), save it again with them.',
  },
  ADAPTER_PICKLE_FORBIDDEN: {
    when: 'The pickle of a torch checkpoint names something else than dictionaries and tensors.',
    hint: 'Loading such a file in Python can run code; ipgraft runs none. Use the .safetensors of the adapter, or save a plain state_dict.',
  },
  ADAPTER_PICKLE_MALFORMED: {
    when: 'The pickle of a torch checkpoint cannot be read.',
    hint: 'The file is damaged, or no plain dictionary of tensors: fetch it again, or use the .safetensors of the adapter.',
  },
  ADAPTER_TENSOR_UNSUPPORTED: {
    when: 'A tensor of the checkpoint has a number type, size or byte order that ipgraft does not read.',
    hint: 'Convert the checkpoint to float32, float16 or bfloat16.',
  },
  ADAPTER_TENSOR_RANGE: {
    when: 'A tensor of a torch checkpoint lies outside its storage, or repeats it beyond reason.',
    hint: 'The file is damaged or was made to do harm: use the published one.',
  },
  EDIT_PRECONDITION: {
    when: 'An edit does not find what it names.',
    hint: 'This is a fault in ipgraft, or the file was changed after it was patched: please report it with the model.',
  },
  EDIT_NAME_TAKEN: {
    when: 'An inserted name exists already.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  EDIT_JOURNAL_MALFORMED: {
    when: 'The edit journal in a patched model cannot be read.',
    hint: 'The file was changed after it was patched: compile it again from the base.',
  },
  PASS_BROKEN: {
    when: 'A pass did not do what it promises.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_VALUE_UNKNOWN: {
    when: 'A node reads a value that nothing makes before it.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_VALUE_MADE_TWICE: {
    when: 'Two nodes make one value.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_NAME_TAKEN: {
    when: 'An inserted node has the name of another.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_UNUSED: {
    when: 'Something was inserted that nothing reads.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  VERIFY_BASE_CHANGED: {
    when: 'What strip restored is not the base that was compiled.',
    hint: 'The file was changed after it was patched, or the base file it refers to was replaced.',
  },
  OUTPUT_EXISTS: {
    when: 'An output file exists already.',
    hint: 'Choose another name, or pass --force to replace it.',
  },
  OUTPUT_IS_INPUT: {
    when: 'An output would replace one of the inputs.',
    hint: 'Choose another output name: the base is never touched.',
  },
  OUTPUT_INPUT_CHANGED: {
    when: 'A base, a data file or an adapter was changed, replaced or removed while it was read.',
    hint: 'Run again when nothing writes to it; nothing was left behind.',
  },
  OUTPUT_FAILED: {
    when: 'An output could not be written.',
    hint: 'Check the free space and the permissions of the output folder; nothing was left behind.',
  },
  OUTPUT_TOO_LARGE: {
    when: 'What must stay inside the model file, large constants in nodes for example, has 2 GiB or more.',
    hint: 'Give a base that keeps its large constants as external data (onnx.save with save_as_external_data and convert_attribute).',
  },
  OPTION_INVALID: {
    when: 'An option or its value is not understood.',
    hint: '`ipgraft help` and `ipgraft help VERB` list them.',
  },
  OPTION_FILE_MISSING: {
    when: 'A file named on the command line cannot be read.',
    hint: 'Check the path.',
  },
  OPTION_SCALE: {
    when: "The scale is not a number, `input`, `layers`, `optional=N` or diffusers' JSON for this UNet.",
    hint: 'See “Scales” in docs/adapters.md.',
  },
  OPTION_SWAP: {
    when: 'An adapter cannot take the place of the one in a patched model.',
    hint: 'Compile the base with the new adapter; `ipgraft strip` gives the base back.',
  },
  OPTION_WEIGHT_TYPE: {
    when: 'A weight type was asked for on a UNet whose layers it does not know.',
    hint: 'Weight types are for SD1.x and SDXL; give other UNets a scale per layer: --scale layers, or diffusers’ JSON.',
  },
  VERIFY_UNDECLARED: {
    when: 'The patched graph differs from the base in something that no edit declares.',
    hint: 'This is a fault in ipgraft: please report it with the model.',
  },
  MODEL_OPSET_UNSUPPORTED: {
    when: "The model's opset is older than what ipgraft writes.",
    hint: "Export with opset 11 or later, or raise it with onnx's version converter.",
  },
  MATCH_TEXT_WAY: {
    when: 'Something computes on the text between its input and a to_k, and image tokens must not take that way.',
    hint: 'ipgraft serves UNets whose cross-attentions read the text as it is (or cast, quantized or repeated).',
  },
  MODEL_FUNCTIONS: {
    when: 'The model keeps its layers in ONNX functions.',
    hint: 'Inline them first: `onnx.inliner.inline_local_functions` in Python.',
  },
  MATCH_STATIC_TOKENS: {
    when: 'An export with a static text length has frozen it into a shape where it cannot be told from the other numbers.',
    hint: 'Export with a dynamic token axis, or with another text length.',
  },
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
  VERIFY_OTHER_BASE: {
    when: 'The model given as the base is not the one that the patched model was compiled from.',
    hint: 'Give the base itself, or get it back with `ipgraft strip`.',
  },
  SERVER_REQUEST: {
    when: 'A request breaks the protocol, or asks for what it does not offer.',
    hint: 'docs/serving.md says what is spoken.',
  },
  SERVER_TOO_LARGE: {
    when: 'A request is larger than the server takes, as it came or decompressed.',
    hint: 'Send less at once, or start the server with a larger --max-body.',
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
    when: 'A request names a model that is not loaded, or is being loaded or unloaded.',
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
  MODEL_CYCLE: {
    when: 'A value of the graph depends on itself.',
    hint: 'The file is not a legal ONNX model: export it again.',
  },
} as const satisfies Record<string, Entry>;

/** What kind of error it is: a code of {@link CATALOGUE}. */
export type ErrorCode = keyof typeof CATALOGUE;

/** Exit code of each family. 1 is kept for failures that are not ours to name. */
export const EXIT_CODES: Readonly<Record<string, number>> = {
  WIRE: 2,
  MODEL: 2,
  ADAPTER: 3,
  MATCH: 4,
  EDIT: 5,
  PASS: 5,
  VERIFY: 6,
  DIFF: 6,
  SERVER: 7,
  OUTPUT: 8,
  OPTION: 9,
  RUNTIME: 10,
};

/**
 * The one error class: a code from {@link CATALOGUE}, a message that says what was sought and what was found,
 * the facts as data, and a hint that says what to do.
 */
export class IpgraftError extends Error {
  override readonly name = 'IpgraftError';
  readonly code: ErrorCode;
  readonly facts: Facts;
  readonly hint: string;

  constructor(
    code: ErrorCode,
    message: string,
    facts: Facts = {},
    options: { hint?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.facts = facts;
    this.hint = options.hint ?? CATALOGUE[code].hint;
  }

  /** `MATCH_COUNT` → 4. */
  get exitCode(): number {
    return EXIT_CODES[this.code.slice(0, this.code.indexOf('_'))] ?? 1;
  }
}
