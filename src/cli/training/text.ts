// The encoder of a run: tokenizer, chat template, and how rows become tokens.
import { ChatTemplate } from '../../text/chat-template.js';
import { Encoder } from '../../text/encoding.js';
import { Tokenizer } from '../../text/tokenizer.js';
import type { Settings } from '../config/keys.js';
import { modelFolder } from '../models.js';

/** The folder whose tokenizer is used. */
export const tokenizerFolder = async (folder: string, settings: Settings): Promise<string> =>
  settings.tokenizer_name_or_path === null
    ? folder
    : modelFolderOrTokenizer(settings.tokenizer_name_or_path);

/** A tokenizer may lie in a folder without a model. */
const modelFolderOrTokenizer = async (name: string): Promise<string> =>
  modelFolder(name).catch(() => name);

/** `positions`: what the model can take at most. */
export const openEncoder = async (
  folder: string,
  settings: Settings,
  positions: number,
): Promise<Encoder> => {
  const tokenizer = await Tokenizer.load(folder);
  const path = settings.chat_template_path;
  const chatTemplate =
    path === null ? await ChatTemplate.load(folder) : await ChatTemplate.read(path);
  return new Encoder(tokenizer, {
    bos: settings.bos,
    eos: settings.eos,
    maxLength: Math.min(settings.max_length ?? positions, positions),
    maxPromptLength: settings.max_prompt_length,
    maxCompletionLength: settings.max_completion_length,
    truncation: settings.truncation_mode,
    boundary: settings.boundary,
    emptyCompletion: settings.empty_completion,
    chatTemplate,
    templateFallback: settings.template_fallback,
    templateVariables: settings.chat_template_kwargs ?? {},
  });
};
