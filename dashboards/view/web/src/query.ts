// Queries of a panel, and their answers as data frames.
import { FieldType, createDataFrame, rangeUtil, type DataFrame, type Field, type Labels } from '@grafana/data';
import { ask } from './client';
import { expand, inQuery, kind, type Context } from './variables';
import type { AnnotationQuery, Panel, Target } from './types';

const logLimit = 1000;

// run asks all targets of a panel. points is how many values a line can show.
export async function run(panel: Panel, c: Context, points: number, signal: AbortSignal): Promise<DataFrame[]> {
  const targets = (panel.targets ?? []).filter((t) => !t.hide && t.expr);
  const answers = await Promise.all(
    targets.map((t) => (kind(c.vars, t.datasource, panel.datasource) === 'loki' ? loki(panel, t, c, points, signal) : kind(c.vars, t.datasource, panel.datasource) === 'prometheus' ? prometheus(panel, t, c, points, targets.length > 1, signal) : Promise.reject(new Error(`query ${t.refId}: there is no such datasource here`))))
  );
  return answers.flat();
}

function step(panel: Panel, t: Target, c: Context, points: number, least: number): number {
  const given = [t.interval, panel.interval].find(Boolean);
  const minimum = given ? expand(given, c).replace(/^>/, '') : undefined;
  const i = rangeUtil.calculateInterval(c.range, panel.maxDataPoints || points, minimum || duration(least)).intervalMs;
  const span = c.range.to.valueOf() - c.range.from.valueOf();
  return Math.max(i, Math.ceil(span / 11000 / 1000) * 1000, 1000); // no store gives more than 11,000 points
}

const duration = (ms: number) => `${ms}ms`;

async function prometheus(panel: Panel, t: Target, c: Context, points: number, several: boolean, signal: AbortSignal): Promise<DataFrame[]> {
  const interval = step(panel, t, c, points, c.config.scrapeInterval);
  const least = t.interval ? rangeUtil.intervalToMs(expand(t.interval, c).replace(/^>/, '')) : c.config.scrapeInterval;
  const query = expand(t.expr!, { ...c, interval, least }, inQuery);
  const results: any[] = [];
  if (t.instant) {
    results.push(await ask('prometheus', '/api/v1/query', new URLSearchParams({ query, time: seconds(c.range.to.valueOf()) }), signal, 'POST'));
  }
  if (t.range || !t.instant) {
    const start = Math.floor(c.range.from.valueOf() / interval) * interval;
    const end = Math.floor(c.range.to.valueOf() / interval) * interval;
    const params = new URLSearchParams({ query, start: seconds(start), end: seconds(end), step: seconds(interval) });
    results.push({ ...(await ask('prometheus', '/api/v1/query_range', params, signal, 'POST')), interval });
  }
  return results.flatMap((r) => {
    if (t.format === 'table') {
      return [table(t.refId, r.result, several ? `Value #${t.refId}` : 'Value', 1000)];
    }
    if (t.format === 'heatmap') {
      return buckets(t.refId, r.result);
    }
    return series(t, r, c, 1000);
  });
}

const seconds = (ms: number) => String(ms / 1000);

async function loki(panel: Panel, t: Target, c: Context, points: number, signal: AbortSignal): Promise<DataFrame[]> {
  const interval = step(panel, { ...t, interval: t.step || t.interval }, c, points, 1000);
  const query = expand(t.expr!, { ...c, interval }, inQuery);
  const from = c.range.from.valueOf() + '000000';
  const to = c.range.to.valueOf() + '000000';
  const instant = t.queryType === 'instant' || t.instant;
  const params = new URLSearchParams(instant ? { query, time: to } : { query, start: from, end: to, step: seconds(interval), direction: 'backward' });
  params.set('limit', String(t.maxLines || logLimit));
  const answer = await ask('loki', `/loki/api/v1/${instant ? 'query' : 'query_range'}`, params, signal);
  if (answer.resultType === 'streams') {
    return [lines(t.refId, answer.result)];
  }
  if (answer.resultType === 'vector') {
    return [table(t.refId, answer.result, `Value #${t.refId}`, 1000)];
  }
  return series(t, { ...answer, interval }, c, 1000);
}

const number = (text: string) => (text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text));

// legend is a series' name by its format: {{label}} is replaced.
function legend(format: string | undefined, labels: Labels, c: Context): string | undefined {
  if (!format || format === '__auto') {
    return undefined;
  }
  return expand(format, c).replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name) => labels[name] ?? '');
}

function series(t: Target, data: any, c: Context, unit: number): DataFrame[] {
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    data = { ...data, result: [{ metric: {}, value: data.result }] };
  }
  return data.result.map((r: any) => {
    const { __name__, ...labels } = r.metric ?? {};
    const values: Array<[number, string]> = r.values ?? (r.value ? [r.value] : []);
    const times: number[] = [];
    const numbers: Array<number | null> = [];
    for (const [at, text] of values) {
      const ms = Math.round(at * unit);
      // A hole of more than a step is one in the line.
      if (data.interval && times.length && ms - times[times.length - 1] > data.interval * 1.5) {
        times.push(times[times.length - 1] + data.interval);
        numbers.push(null);
      }
      const value = number(text);
      times.push(ms);
      numbers.push(Number.isNaN(value) ? null : value); // a graph with a NaN draws nothing at all
    }
    const name = legend(t.legendFormat, { ...labels, ...(__name__ ? { __name__ } : {}) }, c);
    return createDataFrame({
      refId: t.refId,
      name: name ?? (__name__ ? name : undefined),
      fields: [
        { name: 'Time', type: FieldType.time, values: times, config: data.interval ? { interval: data.interval } : {} },
        { name: 'Value', type: FieldType.number, labels, values: numbers, config: name !== undefined ? { displayNameFromDS: name } : __name__ && !Object.keys(labels).length ? { displayNameFromDS: __name__ } : {} },
      ],
    });
  });
}

// table has a row for each value, and a column for each label.
function table(refId: string, result: any, valueName: string, unit: number): DataFrame {
  const rows: any[] = Array.isArray(result?.[0]) || !Array.isArray(result) ? [] : result;
  const names = [...new Set(rows.flatMap((r) => Object.keys(r.metric ?? {})))].sort();
  const flat = rows.flatMap((r) => (r.values ?? (r.value ? [r.value] : [])).map(([at, text]: [number, string]) => ({ at, text, labels: r.metric })));
  return createDataFrame({
    refId,
    meta: { preferredVisualisationType: 'table' },
    fields: [
      { name: 'Time', type: FieldType.time, values: flat.map((r) => Math.round(r.at * unit)), config: {} },
      ...names.map((name) => ({ name, type: FieldType.string, values: flat.map((r) => r.labels[name] ?? ''), config: { filterable: true } })),
      { name: valueName, type: FieldType.number, values: flat.map((r) => number(r.text)), config: {} },
    ],
  });
}

// buckets of classic histograms, each without what the smaller ones have.
function buckets(refId: string, result: any[]): DataFrame[] {
  const sorted = result.filter((r) => r.metric?.le !== undefined).sort((a, b) => number(a.metric.le) - number(b.metric.le));
  const times = [...new Set(sorted.flatMap((r) => (r.values ?? [r.value]).map((v: any) => v[0] as number)))].sort((a, b) => a - b);
  let below: number[] = times.map(() => 0);
  const fields: Array<Partial<Field>> = sorted.map((r) => {
    const at = new Map<number, number>((r.values ?? [r.value]).map(([s, text]: [number, string]) => [s, number(text)]));
    const total = times.map((s, i) => at.get(s) ?? below[i]);
    const own = total.map((v, i) => Math.max(0, v - below[i]));
    below = total;
    return { name: r.metric.le, type: FieldType.number, labels: { le: r.metric.le }, values: own, config: { displayNameFromDS: r.metric.le } };
  });
  if (!fields.length) {
    return [];
  }
  return [createDataFrame({ refId, meta: { type: 'heatmap-rows' as any }, fields: [{ name: 'Time', type: FieldType.time, values: times.map((s) => s * 1000), config: {} }, ...fields] as any })];
}

// lines of a log, the newest first.
function lines(refId: string, result: any[]): DataFrame {
  const all = result.flatMap((s) =>
    s.values.map(([at, line, own]: [string, string, any]) => ({ at, line, stream: s.stream ?? {}, metadata: { ...own?.structuredMetadata, ...own?.parsed } }))
  );
  all.sort((a, b) => (a.at.length !== b.at.length ? b.at.length - a.at.length : a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  return createDataFrame({
    refId,
    meta: { preferredVisualisationType: 'logs' },
    fields: [
      { name: 'Time', type: FieldType.time, values: all.map((e) => Math.floor(Number(e.at.slice(0, -6)))), config: {} },
      { name: 'Line', type: FieldType.string, values: all.map((e) => e.line), config: {} },
      { name: 'labels', type: FieldType.other, values: all.map((e) => e.stream), config: {} },
      { name: 'metadata', type: FieldType.other, values: all.map((e) => e.metadata), config: {} },
      { name: 'ns', type: FieldType.string, values: all.map((e) => e.at), config: {} },
    ],
  });
}

export interface Annotation {
  from: number;
  to: number;
  title: string;
  text: string;
  tags: string[];
  color: string;
  faint?: boolean; // without a band, as many may overlap
}

// annotations of a board: times at which a query of Prometheus is above zero.
export async function annotations(list: AnnotationQuery[], c: Context, signal: AbortSignal): Promise<Annotation[]> {
  const interval = Math.max(c.config.scrapeInterval, Math.ceil((c.range.to.valueOf() - c.range.from.valueOf()) / 1000 / 1000) * 1000);
  const found = await Promise.all(
    list.map(async (a): Promise<Annotation[]> => {
      if (!a.expr || kind(c.vars, a.datasource) !== 'prometheus') {
        return [];
      }
      const own = a.step ? Math.max(interval, rangeUtil.intervalToMs(expand(a.step, c))) : interval;
      const start = Math.floor(c.range.from.valueOf() / own) * own;
      const end = Math.floor(c.range.to.valueOf() / own) * own;
      const params = new URLSearchParams({ query: expand(a.expr, { ...c, interval: own }, inQuery), start: seconds(start), end: seconds(end), step: seconds(own) });
      const answer = await ask('prometheus', '/api/v1/query_range', params, signal, 'POST');
      return answer.result.flatMap((r: any) => {
        const fill = (format: string | undefined) => legend(format, r.metric, c) ?? '';
        const tags = (a.tagKeys ?? '').split(',').map((k) => r.metric[k.trim()]).filter(Boolean);
        const one = (from: number, to: number) => ({ from, to, title: fill(a.titleFormat) || a.name, text: fill(a.textFormat), tags, color: a.iconColor ?? 'red' });
        const events: Annotation[] = [];
        for (const [at, text] of r.values as Array<[number, string]>) {
          const value = Number(text);
          if (!(value > 0)) {
            continue;
          }
          const last = events[events.length - 1];
          if (a.useValueForTime) {
            if (last?.from !== value) {
              events.push(one(value, value));
            }
            continue;
          }
          if (last && at * 1000 - last.to <= own * 1.01) {
            last.to = at * 1000;
          } else {
            events.push(one(at * 1000, at * 1000));
          }
        }
        return events;
      });
    })
  );
  return found.flat();
}
