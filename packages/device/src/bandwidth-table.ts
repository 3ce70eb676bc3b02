/** Published peak memory bandwidth in GB/s, by chip. Where one name has two figures the lower one is meant. */
const PEAK_GB_PER_SECOND: readonly (readonly [RegExp, number])[] = [
  [/Apple M1 Ultra/, 819.2], [/Apple M1 Max/, 409.6], [/Apple M1 Pro/, 204.8], [/Apple M1/, 68.2],
  [/Apple M2 Ultra/, 819.2], [/Apple M2 Max/, 409.6], [/Apple M2 Pro/, 204.8], [/Apple M2/, 102.4],
  [/Apple M3 Ultra/, 819.2], [/Apple M3 Max/, 307.2], [/Apple M3 Pro/, 153.6], [/Apple M3/, 102.4],
  [/Apple M4 Max/, 410], [/Apple M4 Pro/, 273], [/Apple M4/, 120],
  [/Apple M5 Max/, 460], [/Apple M5 Pro/, 307], [/Apple M5/, 153.6],
  [/RTX 5090/, 1792], [/RTX 5080/, 960], [/RTX 5070 Ti/, 896], [/RTX 5070/, 672], [/RTX 5060 Ti/, 448],
  [/RTX 4090/, 1008], [/RTX 4080 SUPER/, 736], [/RTX 4080/, 717], [/RTX 4070 Ti SUPER/, 672], [/RTX 4070/, 504], [/RTX 4060 Ti/, 288], [/RTX 4060/, 272],
  [/RTX 3090 Ti/, 1008], [/RTX 3090/, 936], [/RTX 3080 Ti/, 912], [/RTX 3080/, 760], [/RTX 3070 Ti/, 608], [/RTX 3070/, 448], [/RTX 3060 Ti/, 448], [/RTX 3060/, 360],
  [/RTX 2080 Ti/, 616], [/RTX 2080/, 448], [/A6000/, 768], [/L40S/, 864], [/\bL4\b/, 300], [/\bT4\b/, 320], [/A100/, 2039], [/H200/, 4800], [/H100/, 3350],
  [/8060S|Strix Halo/, 256], [/RX 7900 XTX/, 960], [/RX 7900 XT/, 800], [/RX 7800 XT/, 624], [/RX 7600/, 288], [/RX 6[89]00 XT/, 512], [/RX 6700 XT/, 384],
  [/Raspberry Pi 5/, 17.1], [/Raspberry Pi 4/, 12.8],
];

/** Of the published peak, what decoding reaches in practice: 60 to 80 % is usual, the middle is planned with. */
export const PEAK_SHARE = 0.7;

/** Bytes per second to plan with for a chip, or null for a chip that is not in the table. */
export function tableBandwidth(chip: string): number | null {
  const peak = PEAK_GB_PER_SECOND.find(([name]) => name.test(chip))?.[1];
  return peak === undefined ? null : peak * 1e9 * PEAK_SHARE;
}
