/** The Open Inference Protocol over HTTP or over gRPC, as KServe calls them: it leads one of both to a service. */
export const PROTOCOLS = ['v2', 'grpc-v2'] as const;

/** What an InferenceService is to be: every value checked, nothing left to guess. */
export interface KserveService {
  readonly name: string;
  /** Without it the one that `kubectl` is set to. */
  readonly namespace?: string;
  /** Where KServe fetches the model repository from, such as `s3://bucket/models`. */
  readonly storageUri: string;
  /** What runs the models: KServe's Triton, or `ipgraft serve` in a container. */
  readonly server: TritonServer | IpgraftServer;
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly resources: Resources;
  readonly scaling: Scaling;
  /** Seconds that a request may take. */
  readonly timeout?: number;
  /** Whose credentials fetch the models. */
  readonly serviceAccount?: string;
}

/** NVIDIA's Triton Inference Server, as the ClusterServingRuntime `kserve-tritonserver` that KServe installs starts it. */
export interface TritonServer {
  readonly runtime: 'triton';
  /** Tag of the image, such as `26.04-py3`, instead of the one that KServe was installed with. */
  readonly version?: string;
}

/** `ipgraft serve`, as a ServingRuntime of its own. */
export interface IpgraftServer {
  readonly runtime: 'ipgraft';
  readonly image: string;
  /** Secrets with which the image is fetched. */
  readonly pullSecrets: readonly string[];
  /** The secret that holds the token which requests must bring; `null` lets everybody in who reaches the service. */
  readonly token: { readonly secret: string; readonly key: string } | null;
  /** Processes for each model. */
  readonly workers: number;
}

/** What one replica gets: requests and limits are the same, so that nothing takes it away. */
export interface Resources {
  /** Processors, as Kubernetes writes them: `4`, `500m`. */
  readonly cpu: string;
  /** Bytes, as Kubernetes writes them: `8Gi`. */
  readonly memory: string;
  /** NVIDIA GPUs. */
  readonly gpus: number;
}

/** KServe's modes, by the names that it has had since 0.16: a Deployment with a HorizontalPodAutoscaler, or Knative Serving. */
export const MODES = ['Standard', 'Knative'] as const;
/** Each metric with the mode that scales by it. */
export const METRICS = {
  cpu: 'Standard',
  memory: 'Standard',
  concurrency: 'Knative',
  rps: 'Knative',
} as const satisfies Record<string, (typeof MODES)[number]>;

/** How many replicas there are. */
export interface Scaling {
  readonly mode: (typeof MODES)[number];
  readonly min?: number;
  readonly max?: number;
  readonly metric?: keyof typeof METRICS;
  /** Percent of what a replica requested, for `cpu` and `memory`; else requests at once, or a second. */
  readonly target?: number;
  /** Requests that a replica takes at once; more wait in front of it. Knative only. */
  readonly concurrency?: number;
  /** Percent of the requests that go to this revision; the others go to the one that was rolled out before. Knative only. */
  readonly canary?: number;
}
