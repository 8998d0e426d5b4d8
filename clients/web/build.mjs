/** src/ to dist/: `node build.mjs [directory]`. The versions in package-lock.json make the same bytes everywhere. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const here = new URL('./', import.meta.url);
const target = process.argv[2] ? new URL(`file://${process.argv[2].replace(/\/?$/, '/')}`) : new URL('dist/', here);
const common = {
  absWorkingDir: fileURLToPath(here),
  bundle: true,
  minify: true,
  write: false,
  target: ['chrome123', 'firefox120', 'safari17.5'],
  loader: { '.css': 'text' },
  legalComments: 'none', // LICENSES.md has them
  charset: 'utf8',
};

/** The hash that stands in a part's address; the server compares it with the content. */
const hash = (content) => createHash('sha256').update(content).digest('hex').slice(0, 16);

/** The packages of which something is bundled. */
const bundled = new Set(['plotly.js-dist-min', 'plotly.js-basic-dist-min']);

async function bundle(entry, options) {
  const { outputFiles, metafile } = await build({ ...common, entryPoints: [entry], metafile: true, ...options });
  for (const input of Object.keys(metafile.inputs)) {
    const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) bundled.add(found[1]);
  }
  return outputFiles[0].text;
}

/** What their authors ask to be told with them. */
async function licenses() {
  const parts = ['# Licenses of what the rendering kit contains\n\nWritten by `node build.mjs`.\n'];
  for (const name of [...bundled].sort()) {
    const folder = new URL(`node_modules/${name}/`, here);
    const { version, license } = JSON.parse(await readFile(new URL('package.json', folder), 'utf8'));
    const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? await readFile(new URL(file, folder), 'utf8') : 'The package has no file with the text of its license.';
    parts.push(`## ${name} ${version} (${license})\n\n\`\`\`\n${text.replace(/\r/g, '').replace(/[ \t]+$/gm, '').trim()}\n\`\`\`\n`);
  }
  return parts.join('\n');
}

const files = new Map();
files.set('parts/markdown.js', await bundle('src/parts/markdown.ts', { format: 'esm' }));
files.set('parts/katex.js', await bundle('src/parts/katex.ts', { format: 'esm' }));
files.set('parts/vega.js', await bundle('src/parts/vega.ts', { format: 'iife' }));
for (const [name, module] of [['plotly', 'plotly.js-dist-min/plotly.min.js'], ['plotly-basic', 'plotly.js-basic-dist-min/plotly-basic.min.js']]) {
  files.set(`parts/${name}.js`, await readFile(new URL(`node_modules/${module}`, here), 'utf8'));
}

// The frame is one file: the outer script holds the document of the inner one.
const script = (text) => text.trim().replace(/<\/(script)/gi, '<\\/$1').replace(/<!--/g, '<\\!--');
const page = (style, text) =>
  `<!doctype html><html lang=en><meta charset=utf-8><title>output</title><style>${style}</style><body><script>${script(text)}</script>`;
const INNER_STYLE =
  ':root{color-scheme:light dark;background:transparent}body{margin:0;font:14px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}' +
  'table{border-collapse:collapse;font-size:13px}table.dataframe,.dataframe :is(th,td){border:0}th,td{padding:3px 9px;text-align:right}thead th{border-bottom:1px solid #8888}tbody tr:nth-child(even){background:#8881}img,svg{max-width:100%}';
const inner = page(INNER_STYLE, await bundle('src/frame/inner.ts', { format: 'iife' }));
const outer = await bundle('src/frame/outer.ts', { format: 'iife', define: { INNER: JSON.stringify(inner) } });
const policy = (await readFile(new URL('src/frame/policy.txt', here), 'utf8')).trim().replace(/\n/g, ' ');
const meta = `<meta http-equiv=Content-Security-Policy content="${policy}">`;
const frame = page('html,body{margin:0;height:100%;overflow:hidden;background:transparent}:root{color-scheme:light dark}iframe{border:0;width:100%;height:100%;display:block}', outer);
files.set('frame.html', frame.replace('<title>', `${meta}<title>`));

const PARTS = Object.fromEntries([...files].map(([name, text]) => [name, hash(text)]));
const define = { PARTS: JSON.stringify(PARTS) };
files.set('output.js', await bundle('src/output/element.ts', { format: 'esm', define }));
files.set('LICENSES.md', await licenses());

await rm(target, { recursive: true, force: true });
for (const [name, text] of files) {
  const file = new URL(name, target);
  await mkdir(new URL('./', file), { recursive: true });
  await writeFile(file, text);
}

const types = new URL('types/', target);
const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', here));
const checked = spawnSync(process.execPath, [tsc, '--outDir', fileURLToPath(types)], { cwd: here, stdio: 'inherit' });
if (checked.status !== 0) process.exit(checked.status ?? 1);
