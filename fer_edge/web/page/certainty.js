/**
 * Whether an answer is certain: the arithmetic of fer_edge/runtime/certainty.py, by the model's metadata.
 *
 * @typedef {{
 *   temperature: number, risks: {max_risk: number, threshold: number | null}[],
 *   sets: {method: string, threshold: number}[],
 * }} Uncertainty what `calibrate` wrote; see fer_edge/uncertainty.py
 * @typedef {{isCertain: boolean, candidates: string[], calibratedConfidence: number}} Judgement
 */

const MAX_RISK = 0.1; // of the answers that are called certain: as in Python, where nobody asks for another
const SMALLEST = 1e-30; // stands for a probability of 0, whose logarithm is none

/**
 * @param {number[]} probabilities
 * @param {string[]} labels
 * @param {Uncertainty | null | undefined} uncertainty none: the model was not calibrated
 * @returns {Judgement | null} null: nobody knows
 */
export function judge(probabilities, labels, uncertainty) {
  if (!uncertainty) return null;
  const logits = probabilities.map((value) => Math.log(Math.max(value, SMALLEST)) / uncertainty.temperature);
  const most = Math.max(...logits);
  const exponents = logits.map((value) => Math.exp(value - most));
  const sum = exponents.reduce((total, value) => total + value, 0);
  const calibrated = exponents.map((value) => value / sum);
  const calibratedConfidence = Math.max(...calibrated);
  const order = probabilities.map((_, index) => index).sort((one, other) => probabilities[other] - probabilities[one]);
  const [{ method, threshold }] = uncertainty.sets;
  let before = 0;
  const candidates = order.filter((index, rank) => {
    before += calibrated[index];
    return rank === 0 || (method === "aps" ? before : 1 - calibrated[index]) <= threshold;
  });
  const kept = thresholdOf(uncertainty);
  return {
    isCertain: kept !== null && calibratedConfidence > kept,
    candidates: candidates.map((index) => labels[index]),
    calibratedConfidence,
  };
}

/**
 * What to say of it beside the percentage; empty where it is certain, or nobody knows.
 * @param {Judgement | null} judgement
 */
export function doubt(judgement) {
  if (!judgement || judgement.isCertain) return "";
  const others = judgement.candidates.slice(1);
  return others.length ? `not certain: or ${others.join(", ")}` : "not certain";
}

/** @param {Uncertainty} uncertainty */
function thresholdOf({ risks }) {
  const kept = risks.filter(({ max_risk }) => max_risk <= MAX_RISK + 1e-9);
  return (kept.at(-1) ?? risks[0]).threshold;
}
