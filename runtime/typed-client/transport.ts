/** What a client can run its model with. */
export const TRANSPORTS = ['session', 'http'] as const;

/** What carries the tensors of a client: a session of onnxruntime-node, or HTTP. */
export type Transport = (typeof TRANSPORTS)[number];
