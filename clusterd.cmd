@echo off
rem The clusterd command of this checkout on Windows; set-up comes first where something has changed.
setlocal
if not exist "%~dp0node_modules\.modules.yaml" (
  node "%~dp0scripts\setup.mjs" || exit /b 1
)
node --require "%~dp0scripts\setup\when-stale.cjs" "%~dp0packages\cli\src\main.ts" %*
exit /b %ERRORLEVEL%
