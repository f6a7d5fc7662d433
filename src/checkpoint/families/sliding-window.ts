// Sliding-window attention is not in the engine. It is refused where it would change a result:
// a window at least as long as the longest sequence hides nothing.
import type { AlignlabError } from '../../errors.js';
import type { ConfigReader } from '../config-reader.js';

const wayOut =
  'Only full attention is supported; choose a checkpoint that uses it, or set ' +
  'max_position_embeddings no larger than the window if shorter sequences are enough.';

const refused = (config: ConfigReader, window: number, key: string): AlignlabError =>
  config.unsupported(
    `sliding-window attention is in use ("sliding_window" is ${window}` +
      `${config.get('sliding_window') === undefined ? ' by default' : ''}, ${key})`,
    wayOut,
  );

/** mistral: one window on every layer; 4096 when the key is absent, none when it is null. */
export const refuseMistralWindow = (config: ConfigReader, maxPosition: number): void => {
  if (config.get('sliding_window') === null) return;
  const window = config.integer('sliding_window', { max: 2 ** 31 }, 4096);
  if (window < maxPosition) {
    throw refused(config, window, `"max_position_embeddings" is ${maxPosition}`);
  }
};

/** qwen: layers from max_window_layers on, when use_sliding_window is set. */
export const refuseQwenWindow = (
  config: ConfigReader,
  layers: number,
  maxPosition: number,
): void => {
  if (!config.flag('use_sliding_window', false) || config.get('sliding_window') === null) return;
  const window = config.integer('sliding_window', { max: 2 ** 31 }, 4096);
  const full = config.integer('max_window_layers', { min: 0, max: 2 ** 31 }, 28);
  const declared = !config.lacks('layer_types'); // then they decide, and are checked elsewhere
  if (!declared && full < layers && window < maxPosition) {
    throw refused(config, window, `"max_window_layers" is ${full} of ${layers}`);
  }
};
