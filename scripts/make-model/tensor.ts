/**
 * What a tensor is filled with: random numbers of that spread (standard deviation) around 0; one number; a matrix that passes the first part
 * of what it gets and leaves out the rest; or another tensor's rows, each one further down (the last comes first).
 */
export type Fill =
  | { readonly spread: number }
  | { readonly value: number }
  | { readonly passed: true }
  | { readonly rowsOf: string; readonly spread: number };

/** One tensor to be written. */
export interface Tensor {
  readonly name: string;
  /** Elements by dimension, the row first, as GGUF has it. */
  readonly shape: readonly number[];
  /** Whether it is stored in the model's type, or as 32-bit floats as llama.cpp's converters do with small ones. */
  readonly quantised: boolean;
  readonly fill: Fill;
}

const rowSpread = (shape: readonly number[]): number => 1 / Math.sqrt(shape[0] ?? 1);

/** A matrix, or a stack of them, that keeps the spread of what is multiplied with it. */
export const matrix = (name: string, ...shape: readonly number[]): Tensor => ({
  name: `${name}.weight`,
  shape,
  quantised: true,
  fill: { spread: rowSpread(shape) },
});

/** A small matrix that is never quantised: a router, a convolution. */
export const plain = (name: string, ...shape: readonly number[]): Tensor => ({ ...matrix(name, ...shape), quantised: false });

export const norm = (name: string, ...shape: readonly number[]): Tensor => ({
  name: `${name}.weight`,
  shape,
  quantised: false,
  fill: { value: 1 },
});

const BIAS_SPREAD = 0.02;
export const bias = (name: string, ...shape: readonly number[]): Tensor => ({
  name: `${name}.bias`,
  shape,
  quantised: false,
  fill: { spread: BIAS_SPREAD },
});

/** A tensor whose name has no ending, all of one value. */
export const constant = (name: string, value: number, ...shape: readonly number[]): Tensor => ({
  name,
  shape,
  quantised: false,
  fill: { value },
});
