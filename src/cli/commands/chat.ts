// alignlab chat: a dialogue with a checkpoint, through its chat template; or one line a turn, piped.
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { readCheckpoint } from '../../checkpoint/checkpoint.js';
import { LanguageModel } from '../../engine/model.js';
import { AlignlabError } from '../../errors.js';
import { ChatTemplate } from '../../text/chat-template.js';
import { Encoder } from '../../text/encoding.js';
import type { Message, Text } from '../../text/example.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { dtypeOf, modelFolder } from '../models.js';
import { GrowingText, checkpointFolder, note, number, print } from '../output.js';

interface Options {
  readonly model?: string;
  readonly system?: string;
  readonly chatTemplate?: string;
  readonly plain?: boolean;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly dtype: string;
}

interface Session {
  readonly model: LanguageModel;
  readonly encoder: Encoder;
  readonly options: Options;
  readonly positions: number;
  /** Ends the answer under way; the dialogue goes on. */
  abort: AbortController | null;
}

const openSession = async (folder: string, options: Options): Promise<Session> => {
  const tokenizer = await Tokenizer.load(folder);
  const own = options.chatTemplate;
  const chatTemplate =
    own === undefined ? await ChatTemplate.load(folder) : await ChatTemplate.read(own);
  if (!chatTemplate && options.plain !== true) {
    throw new AlignlabError(
      'TEMPLATE_INVALID',
      `${folder} has no chat template. Give one by --chat-template FILE, or talk in plain text ` +
        'by --plain: each line is then continued by itself.',
    );
  }
  const { shape } = await readCheckpoint(folder);
  const dtype = dtypeOf(options.dtype);
  const model = await LanguageModel.load(folder, { trainable: false, ...(dtype ? { dtype } : {}) });
  const encoder = new Encoder(tokenizer, { chatTemplate: options.plain ? null : chatTemplate });
  return { model, encoder, options, positions: shape.maxPosition, abort: null };
};

/** Prints what is settled: a token may be half a character. */
const answer = async (session: Session, text: Text, turn: number): Promise<string> => {
  const { model, encoder, options, positions } = session;
  const prompt = encoder.encodePrompt(text);
  const room = positions - prompt.length;
  if (room < 1) {
    throw new AlignlabError(
      'SEQUENCE_TOO_LONG',
      `The dialogue has ${prompt.length} tokens, and the model ${positions} positions. Start anew ` +
        'by /new.',
    );
  }
  session.abort = new AbortController();
  const stream = model.generateStream([prompt], {
    maxNewTokens: Math.min(options.maxNewTokens, room),
    temperature: options.temperature,
    topP: options.topP,
    seed: options.seed + turn,
    signal: session.abort.signal,
  });
  const answer = new GrowingText((ids) => encoder.decode(ids, prompt));
  try {
    for await (const { token } of stream) {
      answer.push(token);
    }
  } catch (error) {
    if (!session.abort.signal.aborted) throw error;
  } finally {
    session.abort = null;
  }
  const whole = answer.end();
  print('');
  return whole;
};

const converse = async (session: Session): Promise<void> => {
  const { options } = session;
  const isTerminal = process.stdin.isTTY;
  const input = createInterface({
    input: process.stdin,
    ...(isTerminal ? { output: process.stderr, prompt: '> ' } : {}),
  });
  input.on('SIGINT', () => {
    if (session.abort) session.abort.abort();
    else input.close();
  });
  const start: Message[] =
    options.system === undefined ? [] : [{ role: 'system', content: options.system }];
  let dialogue = start;
  let turn = 0;
  if (isTerminal) note('/new starts anew, /exit ends; Ctrl-C stops an answer.');
  if (isTerminal) input.prompt();
  for await (const line of input) {
    const said = line.trim();
    if (said === '/exit') break;
    if (said === '/new') dialogue = start;
    else if (said !== '') {
      const asked = [...dialogue, { role: 'user', content: said }];
      const reply = await answer(session, options.plain ? said : asked, turn);
      dialogue = [...asked, { role: 'assistant', content: reply.trim() }];
      turn += 1;
    }
    if (isTerminal) input.prompt();
  }
  input.close();
};

export const chatCommand = new Command('chat')
  .description('talk with a checkpoint through its chat template; reads lines when piped')
  .argument('[checkpoint]', 'folder of a checkpoint, or a run folder')
  .option('--model <folder>', 'the same, as an option')
  .option('--system <text>', 'what the system says first')
  .option('--chat-template <file>', "Jinja file; default: the tokenizer's own")
  .option('--plain', 'no template: continue each line by itself')
  .option('--max-new-tokens <n>', 'tokens of an answer at most', number, 256)
  .option('--temperature <t>', '0 is greedy', number, 1)
  .option('--top-p <p>', 'keep the most probable tokens up to this mass', number, 1)
  .option('--seed <n>', 'same seed and lines, same answers', number, 0)
  .option('--dtype <dtype>', 'auto, f32 or bf16', 'auto')
  .action(async (argument: string | undefined, options: Options) => {
    const folder = await modelFolder(checkpointFolder(argument, options.model));
    const session = await openSession(folder, options);
    try {
      await converse(session);
    } finally {
      await session.model.dispose();
    }
  });
