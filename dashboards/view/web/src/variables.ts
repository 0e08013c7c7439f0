// Variables of a board: their values, and how they are written into queries.
import { dateTime, rangeUtil, type DataFrame, type Field, type TimeRange, getFieldDisplayName } from '@grafana/data';
import { ask } from './client';
import type { Board, Config, Reference, Scoped, VariableModel } from './types';

export const ALL = '$__all';

export interface Option {
  text: string;
  value: string;
}

export interface Variable {
  model: VariableModel;
  values: string[]; // selected; ALL alone means all
  options: Option[];
  error?: string;
}

// Stores are the datasources that there are.
export const stores: Record<string, Option> = {
  prometheus: { text: 'Corkline Prometheus', value: 'corkline-prometheus' },
  loki: { text: 'Corkline Loki', value: 'corkline-loki' },
};

// kind of the datasource that a reference names.
export function kind(vars: Variable[], ...references: Reference[]): 'prometheus' | 'loki' | 'none' {
  for (const reference of references) {
    const r = typeof reference === 'string' ? { uid: reference } : reference;
    if (!r || r.uid === '-- Mixed --' || r.type === 'datasource') {
      continue;
    }
    const name = /^\$\{?(\w+)\}?$/.exec(r.uid ?? '')?.[1];
    const type = r.type || (name && vars.find((v) => v.model.name === name)?.model.query) || r.uid;
    if (type) {
      return /loki/i.test(type) ? 'loki' : /prometheus|mimir/i.test(type) ? 'prometheus' : 'none';
    }
  }
  return 'prometheus';
}

// Context is what expressions are interpolated with.
export interface Context {
  vars: Variable[];
  range: TimeRange;
  config: Config;
  board?: Board;
  scoped?: Scoped;
  interval?: number; // of the query, in ms
  least?: number; // between two values of what the query asks for, in ms
}

const pattern = /\$\{([\w$]+)((?:\.[^:}]+|\["[^"]*"\])*)(?::(\w+)(?::([^}]*))?)?\}|\$(\w+)|\[\[(\w+)(?::(\w+))?\]\]/g;

// Format writes the values of a variable.
type Format = string | ((values: string[], variable: Variable) => string);

const escapeRegex = (s: string) => s.replace(/[\\^$*+?.()|[\]{}\/]/g, '\\$&');

// inQuery is how values go into a string of PromQL or LogQL: those of a
// variable with several values as a regular expression, within quotes.
export function inQuery(values: string[], v: Variable): string {
  if (!v.model.multi && !v.model.includeAll) {
    return values.join(',').replace(/[\\'"]/g, '\\$&');
  }
  const escaped = values.map((s) => s.replace(/\\/g, '\\\\\\\\').replace(/[\^$*+?.()|[\]{}]/g, '\\\\$&').replace(/"/g, '\\"'));
  return escaped.length === 1 ? escaped[0] : '(' + escaped.join('|') + ')';
}

function written(values: string[], variable: Variable, format: Format, args?: string): string {
  if (typeof format === 'function') {
    return format(values, variable);
  }
  const name = variable.model.name;
  switch (format) {
    case 'regex':
      return values.length === 1 ? escapeRegex(values[0]) : '(' + values.map(escapeRegex).join('|') + ')';
    case 'pipe':
      return values.join('|');
    case 'csv':
    case 'raw':
      return values.join(',');
    case 'json':
      return JSON.stringify(values.length === 1 && !variable.model.multi ? values[0] : values);
    case 'singlequote':
      return values.map((s) => `'${s.replace(/'/g, "\\'")}'`).join(',');
    case 'doublequote':
      return values.map((s) => `"${s.replace(/"/g, '\\"')}"`).join(',');
    case 'sqlstring':
      return values.map((s) => `'${s.replace(/'/g, "''")}'`).join(',');
    case 'percentencode':
    case 'uriencode':
      return encode(values.length === 1 ? values[0] : '{' + values.join(',') + '}');
    case 'queryparam':
      return values.map((s) => `var-${encode(name)}=${encode(s)}`).join('&');
    case 'join':
      return values.join(args ?? ',');
    case 'text':
      return values.map((s) => variable.options.find((o) => o.value === s)?.text ?? s).join(' + ');
    default: // glob
      return values.length === 1 ? values[0] : '{' + values.join(',') + '}';
  }
}

const encode = (s: string) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

const all = (v: Variable) => v.values.length === 1 && v.values[0] === ALL;

// expand replaces the variables of a text; what is none stays as it is.
export function expand(text: string, c: Context, format: Format = 'glob', scoped?: Scoped): string {
  const scope: Scoped = { ...c.scoped, ...scoped };
  return text.replace(pattern, (match, braced, path, given, args, plain, square, squareFormat) => {
    const name: string = braced ?? plain ?? square;
    const explicit: string | undefined = given ?? squareFormat;
    const special = builtIn(name, path ?? '', explicit, args, c, scope);
    if (special !== undefined) {
      return special;
    }
    const scopedValue = scope[name];
    const variable = c.vars.find((v) => v.model.name === name);
    if (scopedValue !== undefined && scopedValue.value !== undefined) {
      const as = variable ?? { model: { name, type: 'custom' }, values: [], options: [] };
      return written([String(scopedValue.value)], as, explicit ?? (scopedValue.skipFormat ? 'raw' : format), args);
    }
    if (!variable) {
      return match;
    }
    if (all(variable)) {
      if (explicit === 'queryparam') {
        return `var-${encode(name)}=${encode(ALL)}`;
      }
      if (explicit === 'text') {
        return 'All';
      }
      if (variable.model.allValue) {
        return explicit === 'percentencode' || explicit === 'uriencode' ? encode(variable.model.allValue) : variable.model.allValue;
      }
      return written(variable.options.map((o) => o.value), variable, explicit ?? format, args);
    }
    if (variable.model.type === 'interval' && variable.values[0]?.startsWith('$__auto')) {
      const span = c.range.to.valueOf() - c.range.from.valueOf();
      return duration(Math.max(span / (variable.model.auto_count || 30), parse(variable.model.auto_min ?? '10s')));
    }
    return written(variable.values, variable, explicit ?? format, args);
  });
}

function builtIn(name: string, path: string, format: string | undefined, args: string | undefined, c: Context, scope: Scoped): string | undefined {
  const from = c.range.from.valueOf();
  const to = c.range.to.valueOf();
  const step = c.interval ?? rangeUtil.calculateInterval(c.range, 1000).intervalMs;
  const least = c.least ?? c.config.scrapeInterval;
  const time = (ms: number) =>
    format !== 'date' ? String(ms) : !args || args === 'iso' ? dateTime(ms).toISOString() : args === 'seconds' ? String(Math.floor(ms / 1000)) : dateTime(ms).format(args);
  switch (name) {
    case '__interval':
    case '__auto':
      return duration(step);
    case '__interval_ms':
      return String(step);
    case '__rate_interval':
      return duration(Math.max(step + least, 4 * least));
    case '__rate_interval_ms':
      return String(Math.max(step + least, 4 * least));
    case '__range':
      return Math.round((to - from) / 1000) + 's';
    case '__range_s':
      return String(Math.round((to - from) / 1000));
    case '__range_ms':
      return String(to - from);
    case '__from':
      return time(from);
    case '__to':
      return time(to);
    case '__dashboard':
      return path === '.uid' ? (c.board?.uid ?? '') : (c.board?.title ?? '');
    case '__org':
      return path === '.name' ? 'Corkline' : '1';
    case '__url_time_range':
      return timeParams(c.range);
    case '__all_variables':
      return variableParams(c.vars, scope);
    case '__data':
    case '__value':
    case '__field':
    case '__series':
      return ofValue(name, path, format, scope);
  }
  return undefined;
}

export function timeParams(range: TimeRange): string {
  const one = (t: any) => encode(typeof t === 'string' ? t : String(t.valueOf()));
  return `from=${one(range.raw.from)}&to=${one(range.raw.to)}`;
}

export function variableParams(vars: Variable[], scope: Scoped = {}): string {
  return vars
    .flatMap((v) => (scope[v.model.name] ? [scope[v.model.name].value] : v.values).map((s) => `var-${encode(v.model.name)}=${encode(String(s))}`))
    .join('&');
}

// ofValue is what belongs to the value that is linked: its row, its field.
function ofValue(name: string, path: string, format: string | undefined, scope: Scoped): string | undefined {
  const context = scope.__dataContext?.value as { frame: DataFrame; field: Field; data: DataFrame[]; rowIndex?: number; calculatedValue?: any } | undefined;
  if (!context) {
    return undefined;
  }
  const keys = [...path.matchAll(/\.([^.[]+)|\["([^"]*)"\]/g)].map((m) => m[1] ?? m[2]);
  const give = (value: unknown) => {
    const text = value === undefined || value === null ? '' : String(value);
    return format === 'percentencode' || format === 'uriencode' || format === 'queryparam' ? encode(text) : text;
  };
  const at = (field: Field | undefined) => (field && context.rowIndex !== undefined ? field.values[context.rowIndex] : undefined);
  switch (name) {
    case '__series':
      return give(getFieldDisplayName(context.field, context.frame, context.data));
    case '__field':
      return give(keys[0] === 'labels' ? (keys[1] ? context.field.labels?.[keys[1]] : JSON.stringify(context.field.labels ?? {})) : getFieldDisplayName(context.field, context.frame, context.data));
    case '__value': {
      const raw = at(context.field) ?? context.calculatedValue?.numeric;
      if (keys[0] === 'time') {
        return give(at(context.frame.fields.find((f) => f.type === 'time')));
      }
      const shown = context.calculatedValue ?? (context.field.display && raw !== undefined ? context.field.display(raw) : undefined);
      return give(keys[0] === 'text' ? (shown ? (shown.prefix ?? '') + shown.text + (shown.suffix ?? '') : raw) : keys[0] === 'numeric' ? shown?.numeric : raw);
    }
    default: {
      // __data.fields.name or __data.fields[0], by the name before or after renaming
      const key = keys[1] ?? '';
      const fields = context.frame.fields;
      return give(at(fields.find((f) => f.name === key) ?? fields.find((f) => f.state?.displayName === key || f.config.displayName === key || getFieldDisplayName(f, context.frame) === key) ?? fields.find((f) => f.labels?.[key] !== undefined)) ?? context.field.labels?.[key]);
    }
  }
}

const parse = (text: string) => {
  try {
    return rangeUtil.intervalToMs(text);
  } catch {
    return 0;
  }
};

// duration as PromQL and LogQL write it.
export function duration(ms: number): string {
  ms = Math.max(1, Math.round(ms));
  return ms % 1000 ? ms + 'ms' : ms / 1000 + 's';
}

// selected values of a variable: of the URL, else of the board, else the first.
function selected(model: VariableModel, options: Option[], params: URLSearchParams): string[] {
  const list = (x: unknown) => (Array.isArray(x) ? x : x === undefined || x === null ? [] : [x]).map(String);
  const given = params.getAll('var-' + model.name);
  const free = model.type === 'textbox' || model.type === 'constant';
  let values = given.length ? given : list(model.current?.value);
  if (free) {
    return [values[0] ?? (typeof model.query === 'string' ? model.query : '')];
  }
  values = values.map((v) => (v === 'All' && model.includeAll ? ALL : v));
  if (values.includes(ALL) && model.includeAll) {
    return [ALL];
  }
  // A value of the URL stays although there is no such option now: its data
  // may lie outside the time range.
  values = values.filter((v) => given.length || options.some((o) => o.value === v)).filter((v) => v !== ALL);
  if (values.length) {
    return model.multi ? values : values.slice(0, 1);
  }
  return model.includeAll ? [ALL] : options.slice(0, 1).map((o) => o.value);
}

// resolve gives the variables with their options, each after those that it
// uses.
export async function resolve(board: Board, config: Config, range: TimeRange, params: URLSearchParams, signal: AbortSignal): Promise<Variable[]> {
  const models = board.templating?.list ?? [];
  const done = new Map<string, Promise<Variable>>();
  const one = (model: VariableModel, path: string[]): Promise<Variable> => {
    const known = done.get(model.name);
    if (known) {
      return known;
    }
    const text = JSON.stringify([model.query, model.datasource, model.regex]);
    const uses = models.filter((m) => m !== model && !path.includes(m.name) && [...text.matchAll(pattern)].some((p) => (p[1] ?? p[5] ?? p[6]) === m.name));
    const promise = Promise.all(uses.map((m) => one(m, [...path, model.name]))).then(async (vars): Promise<Variable> => {
      try {
        const found = await options(model, { vars, config, range, board }, signal);
        return { model, options: found, values: selected(model, found, params) };
      } catch (e) {
        return { model, options: [], values: selected(model, [], params), error: String((e as Error).message ?? e) };
      }
    });
    done.set(model.name, promise);
    return promise;
  };
  return Promise.all(models.map((m) => one(m, [])));
}

async function options(model: VariableModel, c: Context, signal: AbortSignal): Promise<Option[]> {
  switch (model.type) {
    case 'datasource': {
      const store = stores[String(model.query)];
      return store ? [store] : [];
    }
    case 'custom':
      return [...String(model.query ?? '').matchAll(/((?:\\,|[^,])+)/g)].map((m) => {
        const entry = m[1].replace(/\\,/g, ',').trim();
        const pair = /^(.+?)\s+:\s+(.+)$/.exec(entry);
        return pair ? { text: pair[1], value: pair[2] } : { text: entry, value: entry };
      });
    case 'interval': {
      const list = String(model.query ?? '').split(',').map((s) => s.trim()).filter(Boolean).map((s) => ({ text: s, value: s }));
      return model.auto ? [{ text: 'auto', value: '$__auto_interval_' + model.name }, ...list] : list;
    }
    case 'query':
      return arrange(model, await values(model, c, signal));
    default:
      return [];
  }
}

// values that the store has for a query variable.
async function values(model: VariableModel, c: Context, signal: AbortSignal): Promise<string[]> {
  const store = kind(c.vars, model.datasource);
  const q = model.query;
  if (store === 'none') {
    throw new Error('this datasource is not there');
  }
  let text = typeof q === 'string' ? q : (q?.query ?? '');
  if (store === 'loki' && typeof q === 'object' && q && q.query === undefined) {
    text = q.type === 0 ? 'label_names()' : q.stream ? `label_values(${q.stream}, ${q.label})` : `label_values(${q.label})`;
  }
  text = expand(String(text), c, inQuery).trim();
  const prefix = store === 'loki' ? '/loki/api/v1' : '/api/v1';
  const unit = store === 'loki' ? 1e6 : 1e-3; // nanoseconds, seconds
  const params = (match?: string) => {
    const p = new URLSearchParams({ start: String(Math.round(c.range.from.valueOf() * unit)), end: String(Math.round(c.range.to.valueOf() * unit)) });
    if (match) {
      p.set(store === 'loki' ? 'query' : 'match[]', match);
    }
    return p;
  };
  let m = /^label_values\(\s*(?:([\s\S]+),)?\s*([\w:]+)\s*\)$/.exec(text);
  if (m) {
    return ask(store, `${prefix}/label/${m[2]}/values`, params(m[1]?.trim()), signal);
  }
  if (/^label_names\(.*\)$/.test(text)) {
    return ask(store, `${prefix}/labels`, params(), signal);
  }
  if ((m = /^metrics\((.*)\)$/.exec(text)) && store === 'prometheus') {
    const names: string[] = await ask(store, `${prefix}/label/__name__/values`, params(), signal);
    const filter = new RegExp(m[1] || '.*');
    return names.filter((n) => filter.test(n));
  }
  const expr = /^query_result\(([\s\S]+)\)$/.exec(text)?.[1] ?? text;
  const answer = await ask(store, `${prefix}/query`, new URLSearchParams({ query: expr, time: String(Math.round(c.range.to.valueOf() * unit)) }), signal, 'POST');
  return answer.result.map((r: any) => {
    const { __name__, ...labels } = r.metric;
    return `${__name__ ?? ''}{${Object.entries(labels).map(([k, v]) => `${k}="${v}"`).join(',')}} ${r.value[1]} ${Math.round(r.value[0] * 1000)}`;
  });
}

function arrange(model: VariableModel, list: string[]): Option[] {
  let found: Option[] = list.map((v) => ({ text: v, value: v }));
  const m = /^\/([\s\S]*)\/([gimsuy]*)$/.exec(model.regex ?? '');
  if (model.regex) {
    const regex = new RegExp(m ? m[1] : model.regex, (m?.[2] ?? '').replace('g', ''));
    found = found.flatMap((o) => {
      const hit = regex.exec(o.value);
      if (!hit) {
        return [];
      }
      const value = hit.groups?.value ?? hit.groups?.text ?? hit[1] ?? hit[0];
      return [{ value, text: hit.groups?.text ?? value }];
    });
  }
  found = found.filter((o, i) => o.value !== '' && found.findIndex((p) => p.value === o.value) === i);
  const by: Record<number, (a: Option, b: Option) => number> = {
    1: (a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0),
    3: (a, b) => Number(/\d+/.exec(a.text)?.[0] ?? -1) - Number(/\d+/.exec(b.text)?.[0] ?? -1),
    5: (a, b) => a.text.toLowerCase().localeCompare(b.text.toLowerCase()),
    7: (a, b) => a.text.localeCompare(b.text, undefined, { numeric: true }),
  };
  const sort = model.sort ?? 0;
  if (sort > 0) {
    const ascending = by[sort % 2 ? sort : sort - 1];
    if (ascending) {
      found.sort(sort % 2 ? ascending : (a, b) => ascending(b, a));
    }
  }
  return found;
}
