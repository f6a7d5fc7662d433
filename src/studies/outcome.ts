// What every study makes of its findings: signatures and figures as the report takes them, and the
// files of the folder.
import type { JsonObject } from '../checkpoint/json.js';
import type { Report, ReportFigure, Signature as ReportSignature } from '../report/report.js';
import { writeReport } from '../report/write.js';
import { toJsonText } from '../training/json-text.js';
import type { Findings } from './experiment.js';
import { type Signature, isMet } from './signature.js';
import type { Study } from './study.js';

export interface Outcome {
  readonly signatures: readonly Signature[];
  /** By the experiment's id, in the order of the report. */
  readonly findings: ReadonlyMap<string, Findings>;
}

/** @param source the paper, and where in it the claim stands */
export const forReport = (signature: Signature, source: string): ReportSignature => {
  const { id, claim, verdict, value, interval, note } = signature;
  const met = isMet(signature);
  return {
    id,
    expected: claim,
    source,
    verdict,
    ...(met === null ? {} : { met }),
    ...(value === null ? {} : { measured: value }),
    ...(interval === null ? {} : { interval }),
    note,
  };
};

/** Of the signatures that a figure names, those that this run has. */
export const figuresOf = ({ findings, signatures }: Outcome): ReportFigure[] => {
  const known = new Set(signatures.map(({ id }) => id));
  return [...findings.values()].flatMap(({ figures }) =>
    figures.map((figure) => ({
      ...figure,
      ...(figure.signatures ? { signatures: figure.signatures.filter((id) => known.has(id)) } : {}),
    })),
  );
};

/** Returns the path of the report. */
export const writeStudy = async (
  study: Study,
  files: { readonly result: JsonObject; readonly points?: string },
  report: Report,
): Promise<string> => {
  await study.write('result.json', `${toJsonText(files.result)}\n`);
  if (files.points !== undefined) await study.write('points.csv', files.points);
  const { page } = await writeReport(study.folder, report);
  return page;
};
