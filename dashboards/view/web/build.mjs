// Builds the bundle that the Go package embeds. The same sources and
// package-lock.json give the same bytes. Of what it was built, and what came of
// it, is in bundle.sha256 (sha256sum -c), which a test of the Go package reads.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, 'node_modules');
const out = join(here, '..', 'bundle');

// Icons that Grafana's components ask for by name, in the boards' page. The
// test in a browser fails when one is asked for that is not here.
const icons = readFileSync(join(here, 'icons.txt'), 'utf8').split('\n').filter(Boolean);

// icon by Grafana, or one of ours in place of one that it does not publish.
const icon = (name) => {
  const ours = join(here, 'icons', name);
  return readFileSync(existsSync(ours) ? ours : join(modules, '@grafana/ui/dist/public/img/icons', name), 'utf8');
};

const own = {
  name: 'own',
  setup(b) {
    b.onResolve({ filter: /^icons$/ }, () => ({ path: 'icons', namespace: 'icons' }));
    b.onLoad({ filter: /.*/, namespace: 'icons' }, () => ({
      loader: 'json',
      contents: JSON.stringify(Object.fromEntries(icons.map((name) => [name, icon(name)]))),
    }));
    // No editor of code is shown, and these start by fetching themselves.
    b.onResolve({ filter: /^(monaco-editor|@monaco-editor\/react|react-monaco-editor)(\/.*)?$/ }, () => ({ path: 'none', namespace: 'none' }));
    b.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'module.exports = { default: () => null, loader: { config() {}, init: async () => ({}) } };', loader: 'js' }));
    // The fonts are in app.css.
    b.onResolve({ filter: /^\.\/fonts\.mjs$/ }, () => ({ path: 'fonts', namespace: 'fonts' }));
    b.onLoad({ filter: /.*/, namespace: 'fonts' }, () => ({ contents: 'export const getFontStyles = () => ({});', loader: 'js' }));
    // A hint on cut text is made of its words; no server draws anything here.
    b.onResolve({ filter: /^react-dom\/server$/ }, () => ({ path: 'server', namespace: 'server' }));
    b.onLoad({ filter: /.*/, namespace: 'server' }, () => ({ contents: 'const words = (x) => typeof x === "string" || typeof x === "number" ? String(x) : Array.isArray(x) ? x.map(words).join("") : x?.props ? words(x.props.children) : ""; export default { renderToStaticMarkup: words, renderToString: words };', loader: 'js' }));
    // Zones with their rules of these years only.
    b.onResolve({ filter: /^moment-timezone$/ }, () => ({ path: join(modules, 'moment-timezone/builds/moment-timezone-with-data-10-year-range.js') }));
  },
};

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: 'src/main.tsx' },
  outdir: out,
  write: false,
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none', // they are in the notices
  metafile: true,
  loader: { '.woff2': 'file' },
  assetNames: '[name]',
  define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
  inject: ['shim.js'],
  plugins: [own],
  logLevel: 'warning',
});

if (process.env.META) {
  writeFileSync(process.env.META, JSON.stringify(result.metafile));
}

// packages whose code is in the bundle.
function packages() {
  const found = new Map();
  const inputs = Object.values(result.metafile.outputs).flatMap((o) => Object.entries(o.inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput ? [path] : [])));
  for (const input of inputs) {
    const at = input.lastIndexOf('node_modules/');
    if (at < 0) {
      continue;
    }
    const rest = input.slice(at + 'node_modules/'.length).split('/');
    const name = rest[0].startsWith('@') ? rest.slice(0, 2).join('/') : rest[0];
    found.set(join(here, input.slice(0, at), 'node_modules', name), name);
  }
  return [...found].map(([dir]) => {
    const about = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
    const texts = readdirSync(dir).filter((f) => /^(licen[cs]e|copying|notice|ofl)/i.test(f)).sort().map((f) => readFileSync(join(dir, f), 'utf8').replace(/\r/g, '').trim());
    const license = typeof about.license === 'string' ? about.license : (about.license?.type ?? about.licenses?.map((l) => l.type).join(' OR '));
    if (!license && !texts.length) {
      throw new Error(`${about.name} names no licence`);
    }
    return { name: `${about.name} ${about.version}`, license: license ?? 'see below', author: typeof about.author === 'string' ? about.author : about.author?.name, texts };
  });
}

function notices() {
  const all = packages().sort((a, b) => (a.name < b.name ? -1 : 1));
  const forbidden = all.filter((p) => /GPL|SSPL|BUSL/.test(p.license) && !/ OR /.test(p.license));
  if (forbidden.length) {
    throw new Error('not to be distributed: ' + forbidden.map((p) => `${p.name} (${p.license})`).join(', '));
  }
  const byText = new Map();
  for (const p of all) {
    const text = p.texts.join('\n\n') || `${p.license} (the package has no file with its text)${p.author ? `\nCopyright ${p.author}` : ''}`;
    byText.set(text, [...(byText.get(text) ?? []), `${p.name} (${p.license})`]);
  }
  const rule = '-'.repeat(80);
  return `What the viewer's page is made of, beside Corkline's own code.\n\n${[...byText].map(([text, names]) => `${rule}\n${names.join('\n')}\n${rule}\n\n${text}\n`).join('\n')}`;
}

const files = new Map(result.outputFiles.map((f) => [relative(out, f.path), Buffer.from(f.contents)]));
files.set('index.html', readFileSync(join(here, 'src/index.html')));
files.set('notices.txt', Buffer.from(notices()));

mkdirSync(out, { recursive: true });
const kept = new Set();
for (const [name, content] of [...files].sort()) {
  // Fonts are compressed already.
  const path = join(out, name.endsWith('.woff2') ? name : name + '.gz');
  kept.add(path);
  // Other versions of zlib pack otherwise: what holds the same stays.
  if (existsSync(path)) {
    const before = readFileSync(path);
    if ((path.endsWith('.gz') ? gunzipSync(before) : before).equals(content)) {
      continue;
    }
  }
  writeFileSync(path, path.endsWith('.gz') ? gzipSync(content, { level: 9 }) : content);
  console.log(`${relative(here, path)}: ${content.length} bytes`);
}
for (const name of readdirSync(out)) {
  if (!kept.has(join(out, name))) {
    rmSync(join(out, name));
    console.log(`removed ${name}`);
  }
}

// filesOf a folder and of those in it, but of packages.
const filesOf = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.name === 'node_modules' ? [] : e.isDirectory() ? filesOf(join(dir, e.name)) : [join(dir, e.name)]));
const sums = [...filesOf(here), ...filesOf(out)]
  .map((path) => [relative(dirname(out), path).split(sep).join('/'), createHash('sha256').update(readFileSync(path)).digest('hex')])
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([path, sum]) => `${sum}  ${path}\n`);
writeFileSync(out + '.sha256', sums.join(''));
