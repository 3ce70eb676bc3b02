/** This clusterd's version, as `--version`, adverts and `state` say it. */
export const VERSION = "0.1.0";
