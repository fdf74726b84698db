/** Triton's ModelConfig as it was written: what was left out is absent. */
export interface WrittenConfig {
  readonly name?: string;
  readonly platform?: string;
  readonly backend?: string;
  readonly runtime?: string;
  readonly version_policy?: {
    readonly latest?: { readonly num_versions?: number };
    readonly all?: object;
    readonly specific?: { readonly versions?: readonly number[] };
  };
  readonly max_batch_size?: number;
  readonly input?: readonly WrittenTensor[];
  readonly output?: readonly WrittenTensor[];
  readonly batch_input?: readonly object[];
  readonly batch_output?: readonly object[];
  readonly optimization?: object;
  readonly dynamic_batching?: {
    readonly preferred_batch_size?: readonly number[];
    readonly default_queue_policy?: {
      readonly default_timeout_microseconds?: number;
      readonly max_queue_size?: number;
    };
  };
  readonly sequence_batching?: object;
  readonly ensemble_scheduling?: {
    readonly step?: readonly {
      readonly model_name?: string;
      readonly model_version?: number;
      readonly input_map?: Readonly<Record<string, string>>;
      readonly output_map?: Readonly<Record<string, string>>;
    }[];
  };
  readonly instance_group?: readonly { readonly kind?: string; readonly count?: number }[];
  readonly default_model_filename?: string;
  readonly cc_model_filenames?: object;
  readonly metric_tags?: object;
  readonly parameters?: Readonly<Record<string, { readonly string_value?: string }>>;
  readonly model_warmup?: readonly {
    readonly name?: string;
    readonly batch_size?: number;
    readonly count?: number;
    readonly inputs?: Readonly<Record<string, WrittenWarmupInput>>;
  }[];
  readonly model_operations?: object;
  readonly model_transaction_policy?: { readonly decoupled?: boolean };
  readonly model_repository_agents?: object;
  readonly response_cache?: { readonly enable?: boolean };
  readonly model_metrics?: object;
}

/** An input or output as it was written. */
export interface WrittenTensor {
  readonly name?: string;
  readonly data_type?: string;
  readonly dims?: readonly number[];
  readonly reshape?: { readonly shape?: readonly number[] };
  readonly label_filename?: string;
  readonly is_shape_tensor?: boolean;
  readonly is_non_linear_format_io?: boolean;
  readonly optional?: boolean;
}

interface WrittenWarmupInput {
  readonly data_type?: string;
  readonly dims?: readonly number[];
  readonly zero_data?: boolean;
  readonly random_data?: boolean;
  readonly input_data_file?: string;
}
