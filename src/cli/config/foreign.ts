// Keys that TRL and transformers know and that mean nothing, or something else, here. Each is taken
// over, passed by with a note where the result is the same without it, or refused where it is not.

/** What becomes of such a key. Returns null when its value says what holds anyway. */
export type Treatment =
  | { readonly set: Readonly<Record<string, unknown>> }
  | { readonly note: string }
  | { readonly refuse: string }
  | null;

/** Where the value stands: what else was said beside it, and whether the command draws samples. */
export interface Surroundings {
  readonly beside: Readonly<Record<string, unknown>>;
  readonly online: boolean;
}

type Rule = (value: unknown, surroundings: Surroundings) => Treatment;

const isOff = (value: unknown): boolean =>
  value === null || value === false || value === 0 || value === '' || value === 'no';

/** The result is the same without it. */
const ignored =
  (reason: string): Rule =>
  (value) =>
    value === null ? null : { note: reason };

/** Off is what holds anyway; on would need what is not there. */
const off =
  (reason: string): Rule =>
  (value) =>
    isOff(value) || (Array.isArray(value) && value.length === 0) ? null : { refuse: reason };

/** Only these values are what happens here. */
const only =
  (values: readonly unknown[], reason: string): Rule =>
  (value) =>
    value === null || values.some((known) => known === value) ? null : { refuse: reason };

const adapters =
  'there are no adapters here: all weights are trained. Remove it, or merge the adapter into the ' +
  'checkpoint first';
const quantised = 'weights are float32 or bf16 here. Remove it and set dtype: bf16 to save memory';
const hub = 'nothing is sent to a hub. Remove it and upload the output folder yourself';
const workers = 'loading and tokenising need no setting here';
const oneProcess = 'one process does the run';
const noPadding = 'batches have no padding here';
const vllm = 'samples come from the engine itself';
const exactSampling =
  'samples and training use the same exact log-probabilities, so there is nothing to correct';
const moe = 'mixture-of-experts models are not supported, so there is no router loss';
const dropout = 'nothing is dropped out here';
const unknownMetric = 'only the newest checkpoints are kept. Remove it';

const many = (names: readonly string[], rule: Rule): Record<string, Rule> =>
  Object.fromEntries(names.map((name) => [name, rule]));

const rules: Readonly<Record<string, Rule>> = {
  bf16: (value, { beside }) => {
    if (value === true) return { set: { dtype: 'bf16' } };
    return value === false && beside.dtype === undefined ? { set: { dtype: 'f32' } } : null;
  },
  fp16: off('there is no float16 here. Use bf16: true, or neither'),
  use_cpu: (value) => (value === true ? { set: { device: 'cpu' } } : null),
  no_cuda: (value) => (value === true ? { set: { device: 'cpu' } } : null),
  do_train: (value) =>
    value === false || value === null ? null : { note: 'training is what the command does' },
  do_eval: (value) => (isOff(value) ? null : { note: 'eval_strategy decides when to evaluate' }),
  // Offline trainers of TRL draw rows at random whether or not they shuffle the file before.
  shuffle_dataset: (value, { online }) => {
    if (value === true) return { set: { train_sampling_strategy: 'random' } };
    return value === false && online ? { set: { train_sampling_strategy: 'sequential' } } : null;
  },
  logging_strategy: (value) =>
    value === null || value === 'steps'
      ? null
      : { refuse: 'set logging_steps; lines are by steps' },
  logging_first_step: ignored('the first step is always in metrics.jsonl'),
  reward_model_path: (value) =>
    typeof value === 'string' ? { set: { judge: `reward-model:${value}` } } : null,
  reward_model_name_or_path: (value) =>
    typeof value === 'string' ? { set: { judge: `reward-model:${value}` } } : null,
  reward_funcs: (value) =>
    isOff(value) || (Array.isArray(value) && value.length === 0)
      ? null
      : {
          refuse:
            'reward functions are Python. Use --judge rule:NAME, or the library from a script',
        },
  num_generations_eval: ignored('evaluation draws one sample of a prompt'),
  generation_batch_size: off('set steps_per_generation, or num_mini_batches'),
  // TRL: [lowest, highest].
  reward_clip_range: (value) =>
    Array.isArray(value) && value.length === 2
      ? { set: { reward_min: value[0] as unknown, reward_max: value[1] as unknown } }
      : null,
  reward_weights: off('there is one judge. Combine rewards in a judge of your own, in a script'),
  model_revision: only(['main'], 'models are local folders. Download that revision and name it'),
  dataset_config: off('data are local files. Download that configuration and name its files'),
  dataset_text_field: (value) =>
    value === null || value === 'text' ? null : { set: { columns: { text: value } } },
  packing: off('rows share no sequence here and passes have no padding, so packing gains nothing'),
  eval_packing: off('rows share no sequence here. Remove it'),
  completion_only_loss: (value) =>
    value === null ? null : { set: { include_prompt: value === false } },
  optim: (value) =>
    value === null || (typeof value === 'string' && value.startsWith('adamw_torch'))
      ? null
      : { refuse: 'the optimiser is AdamW. Use adamw_torch' },
  disable_dropout: (value) => (value === false ? { note: dropout } : null),
  auto_find_batch_size: off('the size decides the result. Set per_device_train_batch_size'),
  full_determinism: ignored('runs are always deterministic'),
  load_best_model_at_end: off(unknownMetric),
  ignore_data_skip: off('a resumed run goes on where the data stood. Remove it'),
  save_only_model: off('a checkpoint without the optimiser cannot be resumed. Remove it'),
  ld_alpha: (value) =>
    value === null || value === 1 ? null : { refuse: 'tokens have equal weight here. Remove it' },
  use_weighting: off('pairs have equal weight here. Remove it'),
  top_entropy_quantile: only([1], 'all tokens are trained. Remove it'),
  entropy_coef: off('there is no such bonus here. Remove it'),
  use_adaptive_entropy: off('there is no entropy bonus here. Remove it'),
  off_policy_mask_threshold: off('no sample is masked for being off-policy. Remove it'),
  multi_objective_aggregation: only(['sum_then_normalize'], 'there is one judge. Remove it'),
  generation_kwargs: off('set temperature, max_completion_length and their like'),
  model_init_kwargs: off('set dtype and device'),
  env: off('set variables of the environment before the command'),
  dataset_kwargs: off('set format and columns'),
  neftune_noise_alpha: off('embeddings get no noise here. Remove it'),
  label_smoothing_factor: off('remove it, or use an objective with label_smoothing'),
  use_peft: off(adapters),
  trust_remote_code: off('no code of a model is run. Use one of the supported families'),
  router_aux_loss_coef: ignored(moe),
  push_to_hub: off(hub),
  do_predict: off('use alignlab generate or eval'),
  optim_target_modules: off('all weights are trained the same way. Remove it'),
  fsdp: off(oneProcess),
  deepspeed: off(oneProcess),
  is_encoder_decoder: off('models are decoders. Remove it'),
  generate_during_eval: off('use alignlab eval on the saved policy'),
  eval_delay: off('the first evaluation is after eval_steps. Remove it'),
  use_vllm: ignored(vllm),
  assistant_only_loss: off('the completion is trained. Give prompt and completion columns'),
  eos_token: off('the tokenizer and the checkpoint name it. Remove it'),
  activation_offloading: (value) =>
    isOff(value) ? null : { set: { gradient_checkpointing: true } },
  ...many(['load_in_8bit', 'load_in_4bit'], off(quantised)),
  ...many(
    ['use_dora', 'use_rslora', 'lora_modules_to_save', 'lora_target_parameters'],
    off(adapters),
  ),
  ...many(
    ['lora_r', 'lora_alpha', 'lora_dropout', 'lora_target_modules', 'lora_task_type'],
    ignored('it matters with use_peft only'),
  ),
  ...many(
    ['bnb_4bit_quant_type', 'use_bnb_nested_quant', 'bnb_4bit_quant_storage'],
    ignored('it matters with load_in_4bit only'),
  ),
  ...many(
    [
      ...['dataset_num_proc', 'dataloader_num_workers', 'dataloader_pin_memory'],
      ...['dataloader_persistent_workers', 'dataloader_prefetch_factor', 'remove_unused_columns'],
      ...['dataloader_multiprocessing_context', 'dataloader_in_order', 'group_by_length'],
      ...['length_column_name', 'label_names', 'preprocessing_num_workers'],
    ],
    ignored(workers),
  ),
  ...many(
    [
      ...[
        'ddp_find_unused_parameters',
        'ddp_bucket_cap_mb',
        'ddp_broadcast_buffers',
        'ddp_backend',
      ],
      ...['ddp_static_graph', 'ddp_timeout', 'local_rank', 'num_processes', 'num_machines'],
      ...['average_tokens_across_devices', 'ds3_gather_for_generation', 'ignore_bias_buffers'],
      ...['accelerate_config', 'accelerator_config', 'parallelism_config', 'fsdp_config'],
      ...['log_on_each_node', 'save_on_each_node', 'mixed_precision', 'distributed_type'],
    ],
    ignored(oneProcess),
  ),
  ...many(
    ['padding_free', 'pad_to_multiple_of', 'pad_token', 'padding_value', 'packing_strategy'],
    ignored(noPadding),
  ),
  ...many(
    [
      ...['attn_implementation', 'tf32', 'torch_compile', 'torch_compile_backend', 'use_cache'],
      ...['torch_compile_mode', 'use_liger_kernel', 'liger_kernel_config', 'cache_implementation'],
      ...['torch_empty_cache_steps', 'gradient_checkpointing_kwargs', 'bf16_full_eval'],
      ...['fp16_full_eval', 'eval_use_gather_object', 'enable_jit_checkpoint'],
      ...[
        'cast_lm_head_to_fp32',
        'use_transformers_paged',
        'optim_args',
        'precompute_ref_batch_size',
      ],
      ...['use_transformers_continuous_batching', 'transformers_continuous_batching_config'],
      ...[
        'eval_accumulation_steps',
        'eval_do_concat_batches',
        'batch_eval_metrics',
        'jit_mode_eval',
      ],
    ],
    ignored('the engine has one way to compute, and it changes no result'),
  ),
  ...many(
    [
      ...['log_level', 'log_level_replica', 'logging_nan_inf_filter', 'disable_tqdm', 'debug'],
      ...['include_num_input_tokens_seen', 'project', 'trackio_space_id', 'skip_memory_metrics'],
      ...['log_completions', 'num_completions_to_print', 'log_unique_prompts', 'log_multimodal'],
      ...['prediction_loss_only', 'include_for_metrics', 'logging_dir', 'trackio_bucket_id'],
      ...['trackio_static_space_id', 'wandb_project', 'wandb_entity', 'wandb_run_group'],
    ],
    ignored('it is about logging only'),
  ),
  ...many(
    [
      ...['hub_token', 'hub_private_repo', 'hub_model_id', 'hub_strategy', 'hub_always_push'],
      ...['hub_revision', 'log_completions_hub_repo', 'hub_model_revision'],
    ],
    ignored('it matters with push_to_hub only'),
  ),
  ...many(
    ['metric_for_best_model', 'greater_is_better', 'restore_callback_states_from_checkpoint'],
    ignored('it matters with load_best_model_at_end only'),
  ),
  ...many(
    [
      ...['vllm_mode', 'vllm_model_impl', 'vllm_enable_sleep_mode', 'vllm_server_base_url'],
      ...['vllm_server_host', 'vllm_server_port', 'vllm_server_timeout', 'vllm_group_port'],
      ...['vllm_gpu_memory_utilization', 'vllm_max_model_length', 'vllm_tensor_parallel_size'],
    ],
    ignored(vllm),
  ),
  ...many(
    [
      ...['vllm_importance_sampling_correction', 'vllm_importance_sampling_mode'],
      ...['vllm_importance_sampling_clip_max', 'vllm_importance_sampling_clip_min'],
      'vllm_importance_sampling_cap',
    ],
    ignored(exactSampling),
  ),
  vllm_structured_outputs_regex: off('samples are not constrained. Remove it'),
  max_tool_calling_iterations: off('models call no tools here. Remove it'),
};

export const foreignNames: readonly string[] = Object.keys(rules);

/** undefined: not a key of that kind. */
export const treatForeign = (
  name: string,
  value: unknown,
  surroundings: Surroundings,
): Treatment | undefined =>
  Object.hasOwn(rules, name) ? rules[name]?.(value, surroundings) : undefined;
