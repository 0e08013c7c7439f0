// Log lines; a line opens to its fields.
import { useMemo, useState } from 'react';
import { dateTimeFormat, type DataFrame } from '@grafana/data';
import { Icon } from '@grafana/ui';

const page = 60; // lines that are drawn at once; scrolling draws more

interface Line {
  time: number;
  ns: string;
  text: string;
  labels: Record<string, string>;
  metadata: Record<string, string>;
}

// level that a line says it has, for the colour beside it.
function level(l: Line): string {
  const said = (l.labels.detected_level ?? l.metadata.detected_level ?? l.metadata.level ?? l.labels.level ?? l.metadata.severity ?? l.metadata.action ?? l.labels.action ?? '').toLowerCase();
  if (/^(emer|fatal|crit|f$|panic|drop)/.test(said)) {
    return 'critical';
  }
  if (/^(err|e$|reject|deny)/.test(said)) {
    return 'error';
  }
  if (/^(warn|w$)/.test(said)) {
    return 'warning';
  }
  return /^(info|i$|notice|allow)/.test(said) ? 'info' : /^(debug|trace|dbg)/.test(said) ? 'debug' : 'unknown';
}

export function Logs({ frames, options, height, timeZone }: { frames: DataFrame[]; options: any; height: number; timeZone: string }) {
  const [open, setOpen] = useState<Set<string>>(new Set());
  const [count, setCount] = useState(page);
  const lines = useMemo(() => {
    const all = frames.flatMap((f): Line[] => {
      const field = (name: string) => f.fields.find((x) => x.name === name)?.values;
      const [time, text, labels, metadata, ns] = [field('Time'), field('Line'), field('labels'), field('metadata'), field('ns')];
      return text && time ? text.map((t: string, i: number) => ({ time: time[i], ns: ns?.[i] ?? String(time[i]), text: t, labels: labels?.[i] ?? {}, metadata: metadata?.[i] ?? {} })) : [];
    });
    return options.sortOrder === 'Ascending' ? all.reverse() : all;
  }, [frames, options.sortOrder]);
  const toggle = (key: string) =>
    setOpen((o) => {
      const next = new Set(o);
      next.has(key) ? next.delete(key) : next.add(key);
      return next;
    });
  return (
    <div className="logs scroll" tabIndex={0} role="region" aria-label={`${lines.length} log lines`} style={{ height }} onScroll={(e) => {
      const at = e.currentTarget;
      if (at.scrollTop + at.clientHeight > at.scrollHeight - 400 && count < lines.length) {
        setCount(count + page);
      }
    }}>
      {lines.slice(0, count).map((l, i) => {
        const key = l.ns + '/' + i;
        const expanded = open.has(key);
        return (
          <div key={key} className={`log level-${level(l)}`}>
            <button type="button" aria-expanded={expanded} aria-label={`${expanded ? 'Close' : 'Open'} the fields of the line`} className="log-line" onClick={() => window.getSelection()?.toString() || toggle(key)}>
              <Icon name={expanded ? 'angle-down' : 'angle-right'} size="sm" />
              {options.showTime !== false && <time>{dateTimeFormat(l.time, { timeZone, format: 'YYYY-MM-DD HH:mm:ss.SSS' })}</time>}
              {options.showLabels && <span className="log-labels">{Object.entries(l.labels).map(([k, v]) => `${k}=${v}`).join(' ')}</span>}
              <span className={options.wrapLogMessage ? 'log-text wrap' : 'log-text'}>{pretty(l.text, options.prettifyLogMessage)}</span>
            </button>
            {expanded && (
              <dl className="log-fields">
                {fields('Labels', l.labels)}
                {fields('Fields', l.metadata)}
              </dl>
            )}
          </div>
        );
      })}
      {count < lines.length && <button type="button" className="log-more" onClick={() => setCount(count + page)}>{lines.length - count} more lines</button>}
    </div>
  );
}

function fields(title: string, values: Record<string, string>) {
  const entries = Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length > 0 && [
    <div key={title} className="log-title">{title}</div>,
    ...entries.map(([k, v]) => (
      <div key={title + k} className="log-field" data-field={k}>
        <dt>{k}</dt>
        <dd>{v}</dd>
      </div>
    )),
  ];
}

function pretty(text: string, on: boolean): string {
  if (!on || !text.startsWith('{')) {
    return text;
  }
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
