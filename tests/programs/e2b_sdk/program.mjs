// Drives E2B's SDK for JavaScript through one sandbox and prints what it saw, one JSON object. Its variables say where the server is.
import { readFileSync } from 'node:fs'

import { Sandbox } from '@e2b/code-interpreter'

const seen = {}
const sandbox = await Sandbox.create({ envs: { OF_THE_SANDBOX: 'yes' } })

const heard = []
const execution = await sandbox.runCode("import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'", {
  onStdout: (message) => heard.push(['stdout', message.line]),
  onStderr: (message) => heard.push(['stderr', message.line]),
  onResult: (result) => heard.push(['result', result.text]),
})
// A kernel that sends at the wrong moment sends a line in two messages.
const heardFrom = (kind) => heard.filter((each) => each[0] === kind).map((each) => each[1]).join('')
seen.heard = ['result', 'stderr', 'stdout'].map((kind) => [kind, heardFrom(kind)])
seen.text = execution.text
seen.counts = [typeof execution.executionCount, (await sandbox.runCode('1')).executionCount - execution.executionCount]

const failed = await sandbox.runCode('1 / 0', { onError: (error) => heard.push(['error', error.name]) })
seen.error = [failed.error.name, failed.error.value, failed.error.traceback.includes('\x1b'), heard.at(-1)]

await sandbox.runCode('kept = 5')
seen.state = (await sandbox.runCode('kept + 1')).text

seen.envs = [
  (await sandbox.runCode("import os; print(os.environ['MINE'])", { envs: { MINE: 'it\'s "x"' } })).logs.stdout[0],
  (await sandbox.runCode("os.environ.get('MINE', '-')")).text,
  (await sandbox.runCode("os.environ['OF_THE_SANDBOX']")).text,
]

const scripted = await sandbox.runCode("console.log('from js')\nconst n: number = 6\nn * 7", { language: 'ts' })
seen.typescript = [scripted.text, scripted.logs.stdout]
seen.separate = [
  (await sandbox.runCode('typeof n', { language: 'javascript' })).text,
  (await sandbox.runCode('typeof n', { language: 'typescript' })).text,
]
seen.bash = (await sandbox.runCode('echo $((6 * 7))', { language: 'bash' })).logs.stdout

const frame = await sandbox.runCode("import pandas as pd\npd.DataFrame({'a': [1, None], 'b': ['x', 'y']})")
seen.data = [frame.results[0].formats().sort(), frame.results[0].data]
seen.json = (await sandbox.runCode("{'a': [1]}")).results[0].json
const plot = await sandbox.runCode('import matplotlib.pyplot as plt\nplt.bar(["a"], [2]); plt.show()')
seen.chart = [plot.results[0].chart.type, plot.results[0].chart.elements, plot.results[0].png.slice(0, 8)]

const picture = "from PIL import Image\nImage.new('RGBA', (16, 16)).save('picture.png')"
seen.picture = (await sandbox.runCode(picture)).results.map((each) => each.png.slice(0, 8))
const days = 'import datetime\ndays = [datetime.date(2024, 2, 28 + n) for n in range(2)]\n'
const dated = await sandbox.runCode(`${days}plt.plot(days, [1, 2]); plt.xlabel('Day (d)'); plt.show(); days[0]`)
const [{ chart }] = dated.results
const [[day, value]] = chart.elements[0].points
seen.dates = [chart.type, chart.x_scale, chart.x_unit, chart.title, new Date(day).toISOString(), value, dated.results.length]

const context = await sandbox.createCodeContext({ language: 'js' })
await sandbox.runCode('globalThis.x = 1', { context })
const listed = await sandbox.listCodeContexts()
seen.contexts = [context.language, listed.at(-1).id === context.id, listed.slice(0, 2).map((each) => each.language)]
await sandbox.restartCodeContext(context)
seen.restarted = (await sandbox.runCode('x', { context })).error.name
await sandbox.removeCodeContext(context)
seen.left = (await sandbox.listCodeContexts()).some((each) => each.id === context.id)
seen.removed = await sandbox.runCode('1', { context }).catch((error) => [error.constructor.name, error.message])

seen.timeout = await sandbox.runCode('while True: pass', { timeoutMs: 1000 }).catch((error) => error.constructor.name)
seen.afterTimeout = (await sandbox.runCode('kept')).text

const refused = [
  () => sandbox.files.read('/tmp/x'),
  () => sandbox.files.list('/tmp'),
  () => sandbox.commands.run('ls'),
  () => sandbox.setTimeout(1000),
]
seen.refused = []
for (const call of refused) seen.refused.push(await call().catch((error) => error.message))

const doomed = await Sandbox.create()
const endless = "console.log('runs'); await new Promise((resolve) => setTimeout(resolve, 60_000))"
seen.brokenOff = await doomed
  .runCode(endless, { language: 'js', onStdout: () => doomed.kill() })
  .catch((error) => [error.constructor.name, error.message])

seen.running = await sandbox.isRunning()
seen.killed = [await sandbox.kill(), await sandbox.kill(), await sandbox.isRunning()]
seen.gone = await sandbox.runCode('1').catch((error) => [error.constructor.name, error.message])
seen.version = JSON.parse(readFileSync('node_modules/@e2b/code-interpreter/package.json', 'utf8')).version
console.log(JSON.stringify(seen))
process.exit() // after a call that failed the SDK keeps a timer for a minute
