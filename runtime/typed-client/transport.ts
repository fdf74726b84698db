/** What carries the tensors of a client: a session of onnxruntime-node, or HTTP. */
export const TRANSPORTS = ['session', 'http'] as const;
export type Transport = (typeof TRANSPORTS)[number];
