import type { IpgraftServer, KserveService, Resources } from './kserve-service.js';

/** An object of the Kubernetes API, as it is handed in. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: 'InferenceService' | 'ServingRuntime';
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: object;
}

/** Where KServe lays what it fetched. */
const MODELS = '/mnt/models';
const PORT = 8080;
const GRPC_PORT = 9000;
/** Seconds: `serve` takes requests for 5 after SIGTERM, and lets those that run end for 30 more. */
const GRACE = 60;
/** How often Kubernetes asks, in seconds, and how often in vain until it gives up: Knative gives a start 600 seconds as well. */
const PERIOD = 5;
const START_FAILURES = 120;

/**
 * What KServe needs for a service, in the order in which it is to be created: the ServingRuntime (v1alpha1) of our own image, where that is to
 * run the models, and the InferenceService (v1beta1).
 */
export function manifests(service: KserveService): Manifest[] {
  const { server } = service;
  return server.runtime === 'triton'
    ? [inferenceService(service)]
    : [servingRuntime(service, server), inferenceService(service)];
}

function runtimeName({ name, server }: KserveService): string {
  return server.runtime === 'triton' ? 'kserve-tritonserver' : `${name}-ipgraft`;
}

function metadata(name: string, { namespace }: KserveService): Manifest['metadata'] {
  return { name, ...(namespace !== undefined && { namespace }) };
}

function inferenceService(service: KserveService): Manifest {
  const { name, server, storageUri, protocol, resources, scaling, timeout, serviceAccount } = service;
  const { mode, min, max, metric, target, concurrency, canary } = scaling;
  const isTriton = server.runtime === 'triton';
  const annotations = {
    'serving.kserve.io/deploymentMode': mode,
    ...(mode === 'Standard' && metric !== undefined && { 'serving.kserve.io/autoscalerClass': 'hpa' }),
  };
  const predictor = {
    ...(min !== undefined && { minReplicas: min }),
    ...(max !== undefined && { maxReplicas: max }),
    ...(metric !== undefined && { scaleMetric: metric }),
    ...(target !== undefined && { scaleTarget: target }),
    ...(concurrency !== undefined && { containerConcurrency: concurrency }),
    ...(canary !== undefined && { canaryTrafficPercent: canary }),
    ...(timeout !== undefined && { timeout }),
    ...(serviceAccount !== undefined && { serviceAccountName: serviceAccount }),
    // Knative refuses the field: there a replica that ends has the time that a request may take.
    ...(mode === 'Standard' && { terminationGracePeriodSeconds: GRACE }),
    model: {
      modelFormat: isTriton ? { name: 'triton', version: '2' } : { name: 'onnx' },
      protocolVersion: protocol,
      runtime: runtimeName(service),
      ...(isTriton && server.version !== undefined && { runtimeVersion: server.version }),
      storageUri,
      // Triton's runtime names no port, and KServe then takes the one of HTTP.
      ...(isTriton && protocol === 'grpc-v2' && { ports: [servedPort(protocol)] }),
      ...(!isTriton && perService(server, resources, timeout)),
      resources: requirements(resources),
    },
  };
  return {
    apiVersion: 'serving.kserve.io/v1beta1',
    kind: 'InferenceService',
    metadata: { ...metadata(name, service), annotations },
    spec: { predictor },
  };
}

/** The one port that KServe leads requests to; Knative allows no other, and tells protocols by the name. */
function servedPort(protocol: KserveService['protocol']): object {
  return protocol === 'v2'
    ? { name: 'http1', containerPort: PORT, protocol: 'TCP' }
    : { name: 'h2c', containerPort: GRPC_PORT, protocol: 'TCP' };
}

/** What differs between services of one runtime: KServe appends these arguments to the runtime's. */
function perService(server: IpgraftServer, { cpu, gpus }: Resources, timeout: number | undefined): object {
  const { workers, token } = server;
  const args = [
    ...['--workers', String(workers), '--threads', String(threadsOf(cpu, workers))],
    ...(gpus > 0 ? ['--provider', 'cuda'] : []),
    ...(timeout === undefined ? [] : ['--timeout', String(timeout * 1000)]),
    ...(token === null ? ['--insecure'] : []),
  ];
  if (token === null) return { args };
  const { secret, key } = token;
  return { args, env: [{ name: 'IPGRAFT_TOKEN', valueFrom: { secretKeyRef: { name: secret, key } } }] };
}

/** Node.js 20 counts the processors of the machine, not those that the container may use. */
function threadsOf(cpu: string, workers: number): number {
  const processors = cpu.endsWith('m') ? Number.parseInt(cpu, 10) / 1000 : Number(cpu);
  return Math.max(1, Math.floor(processors / workers));
}

function requirements({ cpu, memory, gpus }: Resources): object {
  const amounts = { cpu, memory, ...(gpus > 0 && { 'nvidia.com/gpu': String(gpus) }) };
  return { requests: amounts, limits: amounts };
}

function servingRuntime(service: KserveService, { image, pullSecrets, token }: IpgraftServer): Manifest {
  const probe = (path: string) => ({
    httpGet: { path, port: PORT },
    periodSeconds: PERIOD,
    timeoutSeconds: 5,
  });
  return {
    apiVersion: 'serving.kserve.io/v1alpha1',
    kind: 'ServingRuntime',
    metadata: metadata(runtimeName(service), service),
    spec: {
      // With a token the metrics need it too, which an annotation cannot say.
      ...(token === null && {
        annotations: { 'prometheus.kserve.io/port': String(PORT), 'prometheus.kserve.io/path': '/metrics' },
      }),
      supportedModelFormats: [{ name: 'onnx', version: '1' }],
      protocolVersions: [service.protocol],
      ...(pullSecrets.length > 0 && { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
      containers: [
        {
          name: 'kserve-container',
          image,
          args: [
            ...['serve', MODELS, '--host', '0.0.0.0', '--port', String(PORT)],
            ...(service.protocol === 'v2' ? [] : ['--grpc-port', String(GRPC_PORT)]),
          ],
          ports: [servedPort(service.protocol)],
          // It listens when all models are loaded.
          startupProbe: { ...probe('/v2/health/live'), failureThreshold: START_FAILURES },
          livenessProbe: { ...probe('/v2/health/live'), failureThreshold: 6 },
          readinessProbe: { ...probe('/v2/health/ready'), failureThreshold: 1 },
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 1000,
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          },
        },
      ],
    },
  };
}
