import type { ServedModel } from '../../runtime/serve/backend.js';
import { GrpcClient } from './grpc-client.js';
import { startServer, stopServers } from './http-server.js';

const clients = new Set<GrpcClient>();

/** Serves models over HTTP and gRPC, with a client of the latter. Tests end both with {@link stopGrpc}. */
export async function startGrpc(
  models?: Readonly<Record<string, ServedModel>>,
  options: Parameters<typeof startServer>[1] = {},
) {
  const server = await startServer(models, { grpcPort: 0, ...options });
  const client = grpcClient(server.grpcUrl!);
  return { ...server, grpcUrl: server.grpcUrl!, client };
}

/** Another client. */
export function grpcClient(url: string, options: object = {}): GrpcClient {
  const client = new GrpcClient(url, options);
  clients.add(client);
  return client;
}

/** Ends what {@link startGrpc} began. */
export async function stopGrpc(): Promise<void> {
  for (const client of clients) client.close();
  clients.clear();
  await stopServers();
}

/** An infer request of the model `echo` for one input `FP32`, raw. */
export function fp32(...values: readonly number[]) {
  return {
    model_name: 'echo',
    inputs: [{ name: 'FP32', datatype: 'FP32', shape: [values.length] }],
    outputs: [{ name: 'FP32_out' }],
    raw_input_contents: [Buffer.from(Float32Array.from(values).buffer)],
  };
}
