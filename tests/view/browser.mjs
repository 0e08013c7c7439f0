// Looks at the boards in a headless Chromium: node browser.mjs quickstart-url
// features-url [folder for screenshots]. What is wrong goes to the standard
// output, a line each, and makes the exit code 1. The variable STEPS, a regular
// expression, chooses some of the steps.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [, , boards, features, screenshots] = process.argv;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const faults = new Set();
const fault = (text) => {
  faults.add(text);
  console.error(`        ${text}`);
};
const patience = 45_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});

// open makes a page on which every fault that the browser tells is one, but
// answers with a status that is expected.
async function open(options = {}, expected = []) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  const page = await context.newPage();
  page.on('console', (m) => m.type() === 'error' && !(expected.length && /status of 4/.test(m.text())) && fault(`console: ${m.text()}`));
  page.on('pageerror', (e) => fault(`script: ${e.stack ?? e}`));
  page.on('request', (r) => !r.url().startsWith(boards) && !r.url().startsWith(features) && !/^(data|blob):/.test(r.url()) && fault(`a request left for ${r.url()}`));
  page.on('response', (r) => r.status() >= 400 && !expected.includes(r.status()) && fault(`${r.status()} ${decodeURIComponent(r.url())}`));
  page.setDefaultTimeout(patience);
  return page;
}

const look = (page) =>
  page.$$eval('[data-panel-id]', (all) => all.map((p) => ({ id: p.dataset.panelId, type: p.dataset.panelType, title: p.getAttribute('aria-label'), state: p.dataset.state, series: Number(p.dataset.series), points: Number(p.dataset.points), text: p.innerText })));

// settled waits until the panels that there are have an answer.
async function settled(page, want = () => true, argument = undefined) {
  await page.waitForSelector('main[data-ready=true]');
  await page.waitForFunction(() => {
    const all = [...document.querySelectorAll('[data-panel-id]')];
    return all.length > 0 && all.every((p) => p.dataset.state !== 'loading' && p.dataset.loading === 'false');
  });
  await page.waitForFunction(want, argument);
}

// all makes the page so high that every panel is seen, and waits for them.
async function all(page) {
  await page.waitForSelector('main[data-ready=true] .grid');
  const height = await page.evaluate(() => Math.ceil(Math.max(...[...document.querySelectorAll('main > *')].map((e) => e.getBoundingClientRect().bottom)) + window.scrollY));
  await page.setViewportSize({ width: page.viewportSize().width, height: Math.min(height + 60, 8000) });
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

// Every panel of every board has data, in both themes.
for (const theme of ['dark', 'light']) {
  for (const b of list) {
    await step(`${b.title}, ${theme}`, async () => {
      const page = await open({ colorScheme: theme });
      let loaded = 0;
      page.on('response', (r) => /\/static\/|\/d\//.test(r.url()) && r.request().sizes().then((s) => (loaded += s.responseBodySize), () => {}));
      await page.goto(`${boards}/d/${b.uid}?from=now-15m&to=now&refresh=`);
      await all(page);
      let panels = await look(page);
      // A rate has its first value some scrapes after the quickstart is up.
      for (let tries = 0; tries < 6 && panels.some((p) => p.state === 'nodata'); tries++) {
        await page.waitForTimeout(4000);
        await page.getByRole('button', { name: 'Refresh', exact: true }).first().click();
        await page.waitForSelector('main[data-ready=false], [data-loading=true]', { timeout: 2000 }).catch(() => {});
        await settled(page);
        panels = await look(page);
      }
      const source = await (await fetch(`${boards}/api/dashboards/${b.uid}`)).json();
      const want = source.panels.filter((p) => p.type !== 'row').length;
      if (panels.length !== want) {
        fault(`${b.title}: ${panels.length} panels are shown, of ${want}`);
      }
      for (const p of panels) {
        if (p.state !== 'data' || (p.type !== 'text' && (p.series < 1 || p.points < 1))) {
          fault(`${b.title}, ${theme}: panel ${p.id} ${p.title}: ${p.state}, ${p.series} series, ${p.points} points: ${p.text.slice(0, 200)}`);
        }
      }
      console.error(`        ${panels.length} panels, ${panels.reduce((n, p) => n + p.series, 0)} series, ${panels.reduce((n, p) => n + p.points, 0)} points; first load ${Math.round(loaded / 1000)} kB`);
      if (loaded > 1_000_000) {
        fault(`${b.title}: the first load has ${loaded} bytes`);
      }
      if (screenshots) {
        await page.screenshot({ path: `${screenshots}/${b.uid}-${theme}.png` });
      }
      await page.evaluate(axe);
      // Colours of values are the boards' own, of Grafana's palette.
      const found = await page.evaluate(async () => {
        const found = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa'] });
        const valued = (n) => document.querySelector(n.target[0])?.closest('[data-panel-type=stat], [data-panel-type=bargauge], [data-panel-type=table], [data-panel-type=piechart]');
        return found.violations.map((v) => ({ ...v, nodes: v.nodes.filter((n) => v.id !== 'color-contrast' || !valued(n)) }));
      });
      for (const v of found.filter((v) => v.nodes.length && (v.impact === 'serious' || v.impact === 'critical'))) {
        fault(`${b.title}, ${theme}: axe ${v.id} at ${v.nodes.length}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' … ')}`);
      }
      await page.context().close();
    });
  }
}

await step('a variable changes panels', async () => {
  const page = await open();
  await page.goto(`${boards}/d/corkline-networkpolicy?from=now-15m&to=now&refresh=`);
  await settled(page);
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
  await page.context().close();
});

await step('links keep the time range and the variables', async () => {
  const page = await open();
  await page.goto(`${boards}/d/corkline-networkpolicy?from=now-10m&to=now&refresh=&var-node=localhost`);
  await settled(page);
  await page.click('nav.links a:has-text("Corkline")');
  await page.waitForSelector('main[data-board=corkline-agent][data-ready=true]');
  const at = new URL(page.url()).searchParams;
  if (at.get('from') !== 'now-10m' || at.get('to') !== 'now' || at.get('var-node') !== 'localhost') {
    fault(`the link leads to ${page.url()}`);
  }
  await page.context().close();
});

await step('a log line opens to its fields, by keyboard', async () => {
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
  await page.context().close();
});

await step('Explore runs PromQL and LogQL, and tells what is wrong', async () => {
  const page = await open({}, [400]);
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
  await page.context().close();
});

await step('a table sorts, a row closes, the theme changes', async () => {
  const page = await open({ colorScheme: 'dark' });
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
  await page.context().close();
});

await step('a graph has a tooltip', async () => {
  const page = await open();
  await page.goto(`${boards}/d/corkline-networkpolicy?from=now-15m&to=now&refresh=`);
  await settled(page);
  const box = await page.locator('[aria-label="Logged packets"] .u-over').boundingBox();
  for (const share of [0.9, 0.95, 0.97]) {
    await page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
  }
  await page.waitForFunction(() => [...document.querySelectorAll('#grafana-portal-container, body > div:not(#root)')].some((e) => /Allow[\s\S]*p\/s/.test(e.innerText)));
  await page.context().close();
});

await step('nothing overflows a small screen', async () => {
  const page = await open({ viewport: { width: 390, height: 800 } });
  await page.goto(`${boards}/d/corkline-networkpolicy?from=now-15m&to=now&refresh=`);
  await settled(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  if (wide > 390) {
    fault(`the page is ${wide} wide on a screen of 390`);
  }
  if (screenshots) {
    await page.screenshot({ path: `${screenshots}/small.png` });
  }
  await page.context().close();
});

// A board of all that boards may use beside what ours do.
await step('the board of all features', async () => {
  const page = await open({ colorScheme: 'dark' }, [400]);
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
  if (screenshots) {
    await page.screenshot({ path: `${screenshots}/features.png` });
  }
  await page.getByRole('button', { name: /^Closed/ }).click();
  await settled(page, () => document.querySelector('[aria-label=Inside]')?.dataset.state === 'data');
  await page.context().close();
});

for (const text of faults) {
  console.log(text);
}
await browser.close();
process.exit(faults.size ? 1 : 0);
