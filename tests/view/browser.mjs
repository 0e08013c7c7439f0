// Looks at the boards in a headless Chromium: node browser.mjs quickstart-url
// agent-url features-url [folder for screenshots, and for panels.json with what each
// panel has]. What is wrong goes to the standard output, a line each, and makes the
// exit code 1. The variable STEPS, a regular expression, chooses some of the steps.
import { chromium } from 'playwright-core';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [, , boards, agent, features, screenshots] = process.argv;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const faults = new Set();
const fault = (text) => {
  faults.add(text);
  console.error(`        ${text}`);
};
const patience = 90_000;
const atOnce = 2; // pages: they compute more than they wait
const screen = { width: 1400, height: 1600 };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});

// Pages of one theme share what the browser has loaded.
const contexts = {
  dark: await browser.newContext({ viewport: screen, colorScheme: 'dark', reducedMotion: 'reduce' }),
};

// open makes a page on which every fault that the browser tells is one, but
// answers with a status that is expected.
async function open({ context = contexts.dark, viewport, expected = [] } = {}) {
  const page = await context.newPage();
  page.on('console', (m) => m.type() === 'error' && !(expected.length && /status of [45]/.test(m.text())) && fault(`console: ${m.text()}`));
  page.on('pageerror', (e) => fault(`script: ${e.stack ?? e}`));
  page.on('request', (r) => ![boards, agent, features].some((at) => r.url().startsWith(at)) && !/^(data|blob):/.test(r.url()) && fault(`a request left for ${r.url()}`));
  page.on('response', (r) => r.status() >= 400 && !expected.includes(r.status()) && fault(`${r.status()} ${decodeURIComponent(r.url())}`));
  page.setDefaultTimeout(patience);
  if (viewport) {
    await page.setViewportSize(viewport);
  }
  return page;
}

const look = (page) =>
  page.$$eval('[data-panel-id]', (all) => all.map((p) => ({ id: p.dataset.panelId, type: p.dataset.panelType, title: p.getAttribute('aria-label'), state: p.dataset.state, series: Number(p.dataset.series), points: Number(p.dataset.points), silent: p.dataset.silent?.split(' ').filter(Boolean) ?? [], text: p.innerText })));

// settled waits until the panels that there are have an answer.
async function settled(page, want = () => true, argument = undefined) {
  await page.waitForSelector('main[data-ready=true]');
  await page.waitForFunction(() => {
    const all = [...document.querySelectorAll('[data-panel-id]')];
    return all.length > 0 && all.every((p) => p.dataset.state !== 'loading' && p.dataset.loading === 'false');
  });
  await page.waitForFunction(want, argument);
}

// all scrolls down until every panel was seen, and waits for them. A screen so
// high that all are on it would be drawn as a whole with each change.
async function all(page) {
  await page.waitForSelector('main[data-ready=true] .grid');
  await page.evaluate(async () => {
    const frame = () => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
    let unseen;
    for (let tries = 0; tries < 1000 && (unseen = document.querySelector('[data-state=unseen]')); tries++) {
      unseen.scrollIntoView();
      await frame();
    }
    window.scrollTo(0, 0);
    await frame();
  });
  await settled(page, () => !document.querySelector('[data-state=unseen]'));
}

async function step(name, does) {
  if (!new RegExp(process.env.STEPS ?? '').test(name)) {
    return;
  }
  const began = Date.now();
  try {
    await does();
  } catch (e) {
    fault(`${name}: ${String(e.message ?? e).split('\n').slice(0, 4).join(' ')}`);
  }
  console.error(`${((Date.now() - began) / 1000).toFixed(1)} s  ${name}`);
}

const list = await (await fetch(boards + '/api/dashboards')).json();
const [node] = (await (await fetch(boards + '/proxy/prometheus/api/v1/label/node/values')).json()).data;

// What rightly shows nothing here: a panel by its board's uid and its title, or one
// of its queries by its letter, with the reason. All else must have data.
const excused = {
  'corkline-ovs/Masks for a look-up': 'only the datapath of a kernel with the module openvswitch tells its masks',
  'corkline-conntrack/Time until full/B': 'the rule behind it takes counts of more than five minutes; deploy/alerts/tests has such counts',
  'corkline-conntrack/Drops/F': 'limits of zones are newer than the Open vSwitch that is played',
};
// What may have data after all, where this takes minutes longer than it should.
const late = ['corkline-conntrack/Time until full/B'];
const used = new Set();
// shoot takes a picture of a whole page, with the tables that are not on the screen.
async function shoot(page, name) {
  if (!screenshots) {
    return;
  }
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.querySelectorAll('[role=grid]').forEach((e) => (e.style.contentVisibility = 'visible')));
  await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true });
}

// go shows a board in a page that is open already, as a link would.
async function go(page, uid) {
  await page.evaluate((to) => {
    window.history.pushState(null, '', to);
    window.dispatchEvent(new PopStateEvent('popstate'));
  }, `/d/${uid}?from=now-15m&to=now&refresh=`);
  await page.waitForSelector(`main[data-board="${uid}"]`);
}

// wrongs tells of each panel of a board that is not as it must be: it has data, of
// every query, unless that is excused; then it has none, and says in words what
// that means.
function wrongs(panels, board) {
  const source = board.panels.flatMap((p) => (p.type === 'row' ? (p.panels ?? []) : [p]));
  return panels.flatMap((p) => {
    const key = `${board.uid}/${p.title}`;
    const words = source.find((x) => String(x.id) === p.id.split('-')[0])?.fieldConfig?.defaults?.noValue;
    const wrong = [];
    if (p.type !== 'text' && excused[key]) {
      used.add(key);
      if (p.state !== 'nodata' || !words || !p.text.includes(words)) {
        wrong.push('is excused, and not without data in its own words');
      }
    } else if (p.state !== 'data' || (p.type !== 'text' && (p.series < 1 || p.points < 1))) {
      wrong.push('has no data');
    } else {
      const letters = Object.keys(excused).filter((e) => e.startsWith(key + '/')).map((e) => e.slice(key.length + 1));
      letters.forEach((q) => used.add(`${key}/${q}`));
      wrong.push(...p.silent.filter((q) => !letters.includes(q)).map((q) => `has nothing of its query ${q}`));
      wrong.push(...letters.filter((q) => !p.silent.includes(q) && !late.includes(`${key}/${q}`)).map((q) => `is excused for its query ${q}, which has data`));
    }
    return wrong.map((what) => ({ title: p.title, text: `panel ${p.id} ${p.title} ${what}: ${p.state}, ${p.series} series, ${p.points} points: ${p.text.slice(0, 200)}` }));
  });
}

const counts = {}; // of each panel, by board and theme

// judge holds the panels of a board. Some stories have yet to be told.
async function judge(page, board, theme) {
  const until = Date.now() + 2 * patience;
  let panels = await look(page);
  while (wrongs(panels, board).length && Date.now() < until) {
    await page.waitForTimeout(3000);
    await page.getByRole('button', { name: 'Refresh', exact: true }).first().click();
    await page.waitForSelector('main[data-ready=false], [data-loading=true]', { timeout: 2000 }).catch(() => {});
    await settled(page);
    panels = await look(page);
  }
  const all = board.panels.flatMap((p) => (p.type === 'row' ? (p.panels ?? []) : [p])).length;
  if (panels.length !== all) {
    fault(`${board.title}: ${panels.length} panels are shown, of ${all}`);
  }
  wrongs(panels, board).forEach((w) => fault(`${board.title}, ${theme}: ${w.text}`));
  counts[board.uid] = { ...counts[board.uid], [theme]: panels.map(({ id, title, type, state, series, points, silent }) => ({ id, title, type, state, series, points, silent })) };
  console.error(`        ${board.title}, ${theme}: ${panels.length} panels, ${panels.reduce((n, p) => n + p.series, 0)} series, ${panels.reduce((n, p) => n + p.points, 0)} points`);
}

// accessible holds a page to WCAG: its structure, if asked, and its contrast.
// That takes long and is a matter of the kind of a panel, so it is looked at in
// two of each, and in few of their lines; colours of values are the boards' own,
// of Grafana's palette.
async function accessible(page, what, structure) {
  const found = await page.evaluate(async (structure) => {
    const kinds = {};
    for (const p of document.querySelectorAll('[data-panel-id]')) {
      kinds[p.dataset.panelType] = (kinds[p.dataset.panelType] ?? 0) + 1;
      p.toggleAttribute('data-again', kinds[p.dataset.panelType] > 2);
    }
    const runOnly = structure ? ['wcag2a', 'wcag2aa'] : ['color-contrast'];
    const exclude = ['.log:nth-child(n+6)', '[role=row]:nth-child(n+6)', '[data-again]'];
    const found = (await window.axe.run({ include: document, exclude }, { resultTypes: ['violations'], runOnly })).violations;
    const valued = (n) => document.querySelector(n.target[0])?.closest('[data-panel-type=stat], [data-panel-type=bargauge], [data-panel-type=table], [data-panel-type=piechart]');
    return found.map((v) => ({ ...v, nodes: v.nodes.filter((n) => v.id !== 'color-contrast' || !valued(n)) }));
  }, structure);
  for (const v of found.filter((v) => v.nodes.length && (v.impact === 'serious' || v.impact === 'critical'))) {
    fault(`${what}: axe ${v.id} at ${v.nodes.length}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' … ')}`);
  }
}

// Every panel of every board has data, in both themes. Pages go from board to
// board, as people do; the light theme is the page's own switch.
const waiting = [...list];
async function worker() {
  const page = await open();
  await page.goto(`${boards}/d/${list[0].uid}?from=now-15m&to=now&refresh=`);
  await page.evaluate(axe);
  for (let b; (b = waiting.shift()); ) {
    await step(b.title, async () => {
      const times = [Date.now()];
      const lap = () => times.push(Date.now());
      const source = await (await fetch(`${boards}/api/dashboards/${b.uid}`)).json();
      await go(page, b.uid);
      await all(page);
      if (!b.again && wrongs(await look(page), source).length) {
        b.again = true;
        waiting.push(b); // the others first: time passes anyway
        return;
      }
      lap();
      await judge(page, source, 'dark');
      lap();
      await shoot(page, `${b.uid}-dark`);
      lap();
      await accessible(page, `${b.title}, dark`, true);
      lap();
      await page.getByRole('button', { name: 'Light theme' }).click();
      await page.waitForFunction(() => document.documentElement.dataset.theme === 'light');
      await settled(page);
      // Buttons change their colours slowly.
      await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((a) => a instanceof CSSTransition).map((a) => a.finished)));
      await judge(page, source, 'light');
      await shoot(page, `${b.uid}-light`);
      lap();
      await accessible(page, `${b.title}, light`, false); // all else is the same
      await page.getByRole('button', { name: 'Dark theme' }).click();
      lap();
      console.error(`        ${b.title}: ${['asked', 'held', 'shot', 'axe', 'light', 'axe'].map((name, i) => `${name} ${((times[i + 1] - times[i]) / 1000).toFixed(1)} s`).join(', ')}`);
    });
  }
  await page.close();
}

await step('all boards', async () => {
  const first = await open({ context: await browser.newContext({ colorScheme: 'light' }) });
  let loaded = 0;
  first.on('response', (r) => /\/static\/|\/d\//.test(r.url()) && r.request().sizes().then((s) => (loaded += s.responseBodySize), () => {}));
  await first.goto(boards + '/');
  await settled(first);
  if (new URL(first.url()).pathname !== '/d/' + list[0].uid || !(await first.evaluate(() => document.documentElement.dataset.theme === 'light'))) {
    fault(`the first page is ${first.url()}, or not light where the system is`);
  }
  const note = await first.locator('aside.note').innerText();
  if (!/simulated node[\s\S]*switch is (real|emulated)/.test(note)) {
    fault(`the first page does not tell of the simulated node: ${note}`);
  }
  await first.locator('#annotation-Events').waitFor();
  console.error(`        the first load has ${Math.round(loaded / 1000)} kB`);
  if (loaded > 1_000_000 || loaded < 100_000) {
    fault(`the first load has ${loaded} bytes`);
  }
  await first.context().close();
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (screenshots) {
    writeFileSync(`${screenshots}/panels.json`, JSON.stringify(counts, null, 1));
  }
  Object.keys(excused).filter((e) => !used.has(e)).forEach((e) => fault(`${e} is excused, and is no panel or query`));
});

const steps = [];

// Each of these panels has words for nothing, and would hide a fault behind them.
steps.push(['a query that is wrong is found', async () => {
  const wrong = {
    'Denied by policies': (e) => e.replace(/corkline_\w+/g, 'corkline_no_such_total'),
    'What the agents noticed': (e) => e.replace('{', '{{'),
    Connections: (e) => e.replace('node=~"$node"', 'node="none"'),
    'Warnings and errors': (e, letter) => (letter === 'B' ? e.replaceAll(/corkline_\w+/g, 'corkline_no_such_total') : e),
  };
  const board = await (await fetch(`${boards}/api/dashboards/corkline-overview`)).json();
  for (const p of board.panels.filter((p) => wrong[p.title])) {
    if (!p.fieldConfig.defaults.noValue) {
      fault(`${p.title} has no words for nothing: choose another panel`);
    }
    p.targets.forEach((t) => (t.expr = wrong[p.title](t.expr, t.refId)));
  }
  const page = await open({ expected: [400] });
  await page.route('**/api/dashboards/corkline-overview', (r) => r.fulfill({ json: board }));
  await page.goto(`${boards}/d/corkline-overview?from=now-15m&to=now&refresh=`);
  await all(page);
  const found = [...new Set(wrongs(await look(page), board).map((w) => w.title))].sort();
  if (String(found) !== String(Object.keys(wrong).sort())) {
    fault(`wrong queries are found in ${found}, and are in ${Object.keys(wrong)}`);
  }
  await page.close();
}]);

steps.push(['a variable changes panels', async () => {
  const page = await open();
  await page.goto(`${boards}/d/corkline-networkpolicy?from=now-15m&to=now&refresh=`);
  await settled(page, () => Number(document.querySelector('[aria-label="Packets by action"]').dataset.series) > 0);
  const before = (await look(page)).find((p) => p.title === 'Packets by action').series;
  await page.click('#var-action');
  await page.keyboard.type('Drop');
  await page.getByRole('option', { name: 'Drop' }).first().click();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => new URL(location.href).searchParams.get('var-action') === 'Drop');
  await settled(page, () => document.querySelector('[aria-label="Packets by action"]').dataset.series === '1');
  if (before < 2) {
    fault(`Packets by action had ${before} series before`);
  }
  // Back is the state before.
  await page.goBack();
  await settled(page, (n) => document.querySelector('[aria-label="Packets by action"]').dataset.series === String(n), before);
  await page.close();
}]);

steps.push(['links keep the time range and the variables', async () => {
  const page = await open();
  const arrives = async (uid) => {
    await page.waitForSelector(`main[data-board=${uid}][data-ready=true]`);
    const at = new URL(page.url()).searchParams;
    if (at.get('from') !== 'now-10m' || at.get('to') !== 'now' || at.get('var-node') !== node) {
      fault(`the link to ${uid} leads to ${page.url()}`);
    }
  };
  await page.goto(`${boards}/d/corkline-overview?from=now-10m&to=now&refresh=&var-node=${node}`);
  await settled(page);
  await page.click('[aria-label="Denied by policies"] a.panel-link');
  await arrives('corkline-networkpolicy');
  await page.getByRole('combobox', { name: 'Board' }).click();
  await page.keyboard.type('Corkl');
  await page.getByRole('option', { name: /^Corkline/ }).first().click();
  await arrives('corkline-agent');
  await page.close();
}]);

steps.push(['a log line opens to its fields, by keyboard', async () => {
  const page = await open();
  await page.goto(`${boards}/explore?store=loki&expr=${encodeURIComponent('{job="corkline", action="Drop"}')}&from=now-15m&to=now`);
  await settled(page);
  const line = page.locator('.log-line').first();
  await line.focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('.log-fields [data-field=policy]');
  if ((await line.getAttribute('aria-expanded')) !== 'true') {
    fault('an open line does not say so');
  }
  await page.close();
}]);

steps.push(['Explore runs PromQL and LogQL, and tells what is wrong', async () => {
  const page = await open({ expected: [400] });
  await page.goto(`${boards}/explore`);
  await page.getByLabel('PromQL').last().fill('sum by (action) (corkline_networkpolicy_logged_packets_total)');
  await page.getByRole('button', { name: 'Run' }).click();
  await settled(page, () => document.querySelectorAll('[data-panel-id][data-state=data]').length === 2);
  await page.locator('input[title=LogQL]').click();
  await page.locator('textarea').fill('sum by (action) (count_over_time({job="corkline"}[1m]))');
  await page.keyboard.press('Enter');
  await settled(page, () => new URL(location.href).searchParams.get('store') === 'loki' && document.querySelectorAll('[data-panel-id][data-state=data]').length === 2);
  await page.locator('textarea').fill('{job=');
  await page.keyboard.press('Enter');
  await settled(page, () => /parse error/.test(document.querySelector('[data-state=error]')?.innerText ?? ''));
  await page.close();
}]);

steps.push(['a table sorts, a row closes, the theme changes', async () => {
  const page = await open();
  await page.goto(`${boards}/d/corkline-networkpolicy?from=now-15m&to=now&refresh=`);
  await all(page);
  const rules = page.locator('[aria-label=Rules]');
  await rules.getByRole('columnheader', { name: 'Policy' }).click();
  await rules.locator('[role=columnheader][aria-sort=ascending]').waitFor();
  const shown = (await look(page)).length;
  await page.locator('h2.board-row button').nth(1).press('Enter');
  await page.waitForFunction((n) => document.querySelectorAll('[data-panel-id]').length < n, shown);
  await page.getByRole('button', { name: 'Light theme' }).click();
  await page.waitForFunction(() => document.documentElement.dataset.theme === 'light');
  await page.close();
}]);

steps.push(['a graph has a tooltip', async () => {
  const page = await open();
  await page.goto(`${boards}/d/corkline-networkpolicy?from=now-15m&to=now&refresh=`);
  await settled(page);
  const box = await page.locator('[aria-label="Logged packets"] .u-over').boundingBox();
  for (const share of [0.9, 0.95, 0.97]) {
    await page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
  }
  await page.waitForFunction(() => [...document.querySelectorAll('#grafana-portal-container, body > div:not(#root)')].some((e) => /Allow[\s\S]*p\/s/.test(e.innerText)));
  await page.close();
}]);

steps.push(['nothing overflows a small screen', async () => {
  const page = await open({ viewport: { width: 390, height: 800 } });
  await page.goto(boards + '/');
  for (const { uid } of list) {
    await go(page, uid);
    await settled(page, () => document.querySelector('[data-state=data]'));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > 390) {
      fault(`${uid} is ${wide} wide on a screen of 390`);
    }
    if (screenshots) {
      await page.screenshot({ path: `${screenshots}/${uid}-small.png` });
    }
  }
  await page.close();
}]);

// A board of all that boards may use beside what ours do.
steps.push(['the board of all features', async () => {
  const page = await open({ expected: [400] });
  await page.goto(`${features}/d/features`);
  await all(page);
  const panels = await look(page);
  const by = (title) => panels.filter((p) => p.title === title);
  const expect = (ok, text) => ok || fault(`features: ${text}`);
  for (const p of panels) {
    const want = p.title === 'A broken query' ? 'error' : p.title === 'A metric that is not there' ? 'nodata' : 'data';
    expect(p.state === want, `${p.title}: ${p.state}, want ${want}: ${p.text.slice(0, 200)}`);
  }
  expect(/parse error/.test(by('A broken query')[0]?.text), `the broken query says ${by('A broken query')[0]?.text}`);
  expect(/nothing yet/.test(by('A metric that is not there')[0]?.text), 'no text where there is no value');
  expect(/up/.test(by('Mapped')[0]?.text), `a mapping gives ${by('Mapped')[0]?.text}`);
  for (const action of ['Allow', 'Drop', 'Pass', 'Redirect', 'Reject']) {
    expect(by(action).length === 1, `${by(action).length} panels repeat for ${action}`);
  }
  expect(by('Read of antrea-networkpolicy').length === 1, 'the row does not repeat for the source');
  expect((await page.locator('.heatmap canvas').count()) === 1, 'there is no heatmap');
  expect(by('Quantile 0.99, with annotations').length === 1 || by('Quantile worst, with annotations').length === 1, 'a title has no variable');
  expect((await page.locator('[aria-label="HTML"] script').count()) === 0 && (await page.title()) === 'What the viewer can draw · Corkline', 'a text has a script');
  expect(by('Inside').length === 0, 'a closed row is open');
  await shoot(page, 'features');
  await page.getByRole('button', { name: /^Closed/ }).click();
  await settled(page, () => document.querySelector('[aria-label=Inside]')?.dataset.state === 'data');
  await page.close();
}]);

steps.push(['the page of the agent', async () => {
  for (const theme of ['dark', 'light']) {
    const page = await open({ context: await browser.newContext({ viewport: { width: 1000, height: 500 }, colorScheme: theme }), expected: [503] });
    await page.goto(agent + '/');
    await shoot(page, `agent-${theme}`);
    await page.evaluate(axe);
    await accessible(page, `the agent's page, ${theme}`, true);
    // It is new every five seconds, and what one is at stays, unless something new
    // came before it just then.
    let stays = false;
    for (let tries = 0; tries < 4 && !stays; tries++) {
      const link = await page.getByRole('link', { name: 'board', exact: true }).last().elementHandle();
      await link.focus();
      const before = await page.evaluate(() => ({ y: window.scrollY, up: document.querySelector('main > p').innerText }));
      await page.waitForFunction((up) => document.querySelector('main > p').innerText !== up, before.up);
      const after = await page.evaluate(() => window.scrollY);
      stays = before.y > 0 && Math.abs(after - before.y) <= 200 && (await link.evaluate((e) => e === document.activeElement));
    }
    if (!stays) {
      fault(`the agent's page, ${theme}: focus or scroll position are lost`);
    }
    if (theme === 'dark') {
      await page.route(agent + '/', (r) => r.fulfill({ status: 503 }));
      await page.getByText('The agent has not answered since').waitFor();
      await page.unroute(agent + '/');
      await page.waitForFunction(() => document.getElementById('said').innerText === '');
    }
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.waitForSelector('main[data-board=corkline-overview][data-ready=true]');
    if (new URL(page.url()).searchParams.get('var-node') !== node) {
      fault(`the agent's page leads to ${page.url()}`);
    }
    await page.context().close();
  }
}]);

await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (let next; (next = steps.shift()); ) {
      await step(...next);
    }
  })
);

for (const text of faults) {
  console.log(text);
}
await browser.close();
process.exit(faults.size ? 1 : 0);
