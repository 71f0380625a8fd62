'use strict'
// Compiles this project again and again for some seconds: node compile.cjs <seconds>
const { resolve } = require('node:path')
const typescript = require('typescript')

const until = performance.now() + Number(process.argv[2]) * 1000
const file = resolve(__dirname, '../../../../tsconfig.json')
const { fileNames, options } = typescript.getParsedCommandLineOfConfigFile(
  file,
  { noEmit: true },
  {
    ...typescript.sys,
    onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
      throw new Error(String(messageText))
    },
  },
)
while (performance.now() < until) {
  const program = typescript.createProgram(fileNames, options)
  for (const source of program.getSourceFiles()) {
    if (performance.now() >= until) break
    program.getSemanticDiagnostics(source)
  }
}
