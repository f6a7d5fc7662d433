// What text becomes: token ids of a prompt and of the responses that continue it. Training,
// scoring and sampling see nothing else.

export interface Response {
  /** Token ids, an end-of-text token included where the policy of the encoding adds one. */
  readonly tokens: Int32Array;
  /** log-probabilities under the policy that drew it, temperature 1; of sampled responses. */
  readonly behaviour?: Float32Array;
  /** Under the reference, where a source has them already. */
  readonly reference?: Float32Array;
  /** The judge's reward of the whole response; null where it could not tell. */
  readonly reward?: number | null;
  /** Drawn to the token limit without an end-of-text token. */
  readonly truncated?: boolean;
  /** Drawn from the reference, where a pair holds one sample of it and one of the policy (XPO). */
  readonly fromReference?: boolean;
  /** All tokens, of a labelled response that was cut: after another prompt (KTO) it is cut anew. */
  readonly uncut?: Int32Array;
}

/** pair: responses are chosen, rejected. completion: one response. group: samples of one prompt. */
export interface Example {
  readonly kind: 'pair' | 'completion' | 'group';
  readonly prompt: Int32Array;
  readonly responses: readonly Response[];
  readonly label?: boolean;
  readonly margin?: number;
  /** Of a pair: how many pairs it counts as in a loss, above 0; default 1. */
  readonly weight?: number;
  /** Of a pair: how far its label is not to be trusted, nats. */
  readonly gap?: number;
  /** Where it came from, for messages and the experience log: 'file.jsonl:17', 'step 3, sample 5'. */
  readonly origin: string;
}

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** A text, or the turns of a dialogue. */
export type Text = string | readonly Message[];

/** A row of a dataset, still text. Exactly the keys that its kind needs are there. */
export type TextRecord = { readonly origin: string } & (
  | {
      readonly kind: 'preference';
      readonly prompt: Text;
      readonly chosen: Text;
      readonly rejected: Text;
      readonly margin?: number;
    }
  | {
      readonly kind: 'unpaired';
      readonly prompt: Text;
      readonly completion: Text;
      readonly label: boolean;
    }
  | { readonly kind: 'completion'; readonly prompt: Text; readonly completion: Text }
  | {
      readonly kind: 'prompt';
      readonly prompt: Text;
      /** Other columns, for rule judges. */
      readonly columns: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'text'; readonly text: Text }
);
