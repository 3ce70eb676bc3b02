/**
 * What a child gets of the daemon's environment. A list, because llama.cpp takes any flag from a variable as well (`LLAMA_ARG_…`,
 * `AIP_HTTP_PORT`): what happens to be set in a shell must not change a pipeline.
 */
const PASSED: readonly string[] = [
  "PATH",
  "HOME",
  "TMPDIR",
  "LANG",
  "LD_LIBRARY_PATH",
  "DYLD_LIBRARY_PATH",
  "XDG_CACHE_HOME",
  "CUDA_VISIBLE_DEVICES",
  "HIP_VISIBLE_DEVICES",
  "GGML_VK_VISIBLE_DEVICES",
  "VK_ICD_FILENAMES",
  "SystemRoot",
  "TEMP",
  "TMP",
  "USERPROFILE",
  "LOCALAPPDATA",
];

/** The whole environment of a child: what is passed on, and what its start sets. */
export function childEnvironment(
  set: Readonly<Record<string, string>> = {},
  own: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of PASSED) {
    const value = own[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...set };
}
