// A panel: asks its queries, shapes the answer, draws it.
import { Component, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { firstValueFrom } from 'rxjs';
import {
  DashboardCursorSync,
  EventBusSrv,
  FieldType,
  LoadingState,
  applyFieldOverrides,
  cacheFieldDisplayNames,
  dateMath,
  dateTime,
  getFieldDisplayName,
  rangeUtil,
  renderMarkdown,
  transformDataFrame,
  type DataFrame,
  type FieldConfigSource,
  type InterpolateFunction,
  type TimeRange,
} from '@grafana/data';
import { PanelChrome, PanelContextProvider, SeriesVisibilityChangeMode, useTheme2 } from '@grafana/ui';
import { Graph } from './graph';
import { Logs } from './logs';
import { Bars, Gauge, Heatmap, Pie, Stat, Table, Text } from './viz';
import { complete, registry } from './fields';
import { run, type Annotation } from './query';
import { expand, type Context } from './variables';
import { setParams } from './url';
import type { Panel, Scoped } from './types';

// of all boards, so that crosshairs move together
const bus = new EventBusSrv();

interface Props {
  panel: Panel;
  id: string; // of the element: a repeated panel has several
  context: Context;
  timeZone: string;
  annotations?: Annotation[];
  eager?: boolean; // asks before it is seen
}

interface Answer {
  frames: DataFrame[];
  range: TimeRange;
  silent: string[]; // queries that gave no value
}

export function PanelView({ panel, id, context: outer, timeZone, annotations, eager }: Props) {
  const theme = useTheme2();
  const [box, size] = useSize();
  const seen = useSeen(box) || eager;
  const [answer, setAnswer] = useState<Answer>();
  const [error, setError] = useState<string>();
  const [broken, setBroken] = useState(false); // it has data, and cannot be drawn
  const [loading, setLoading] = useState(false);
  const [hidden, setHidden] = useState<Set<string>>(new Set());

  const range = useMemo(() => ownRange(panel, outer), [panel, outer]);
  const context = useMemo(() => ({ ...outer, range }), [outer, range]);
  const latest = useRef(context);
  latest.current = context;
  const points = Math.max(50, Math.round(size.width / 50) * 50);
  const queries = (panel.targets ?? []).some((t) => t.expr && !t.hide);

  useEffect(() => {
    if (!seen || !queries || size.width === 0) {
      return;
    }
    const abort = new AbortController();
    setLoading(true);
    run(panel, context, points, abort.signal)
      .then(async (raw) => ({ silent: silent(panel, raw), frames: await transform(panel, raw, context) }))
      .then((got) => {
        setAnswer({ ...got, range });
        setBroken(false);
        setError(undefined);
      })
      .catch((e) => {
        if (!abort.signal.aborted) {
          setAnswer(undefined);
          setError(String(e.message ?? e));
        }
      })
      .finally(() => !abort.signal.aborted && setLoading(false));
    return () => abort.abort();
  }, [panel, context, points, seen, queries, size.width === 0]);

  const source = useMemo(() => complete(panel.fieldConfig), [panel]);
  // A link is written when it is followed, with the variables of then.
  const replace: InterpolateFunction = useMemo(
    () => (text, scoped, format) => expand(String(text ?? ''), latest.current, typeof format === 'string' ? format : 'glob', scoped as Scoped),
    []
  );
  const frames = useMemo(() => answer && shape(answer.frames, source, hidden, replace, theme, timeZone), [answer, source, hidden, replace, theme, timeZone]);

  const options = panel.options ?? {};
  const series = frames ? count(panel, frames) : { series: 0, points: 0 };
  const text = panel.type === 'text' || panel.type === 'dashlist';
  const state = text ? 'data' : !queries ? 'nodata' : error || broken ? 'error' : !frames ? (seen ? 'loading' : 'unseen') : series.points ? 'data' : 'nodata';
  const title = expand(panel.title ?? '', context, 'text');

  const draw = (width: number, height: number): ReactNode => {
    if (panel.type === 'text') {
      return <Text options={options} replace={replace} width={width} height={height} />;
    }
    if (error) {
      return <div className="message error" role="alert" style={{ maxHeight: height }}>{error}</div>;
    }
    if (state === 'nodata') {
      return <div className="message">{panel.fieldConfig?.defaults?.noValue || (queries ? 'No data in this time range' : 'This panel has no query')}</div>;
    }
    if (!frames || width < 10 || height < 10) {
      return null;
    }
    const props = { frames, source, options, width, height, range: answer!.range, timeZone, replace };
    switch (panel.type) {
      case 'timeseries':
      case 'graph':
        return <Graph {...props} annotations={annotations ?? []} sync={(context.board?.graphTooltip ?? 0) > 0} onZoom={(from, to) => setParams({ from: String(Math.round(from)), to: String(Math.round(to)) })} />;
      case 'stat':
        return <Stat {...props} />;
      case 'bargauge':
        return <Bars {...props} />;
      case 'gauge':
        return <Gauge {...props} />;
      case 'piechart':
        return <Pie {...props} />;
      case 'table':
        return <Table {...props} />;
      case 'logs':
        return <Logs frames={frames} options={options} height={height} timeZone={timeZone} />;
      case 'heatmap':
        return <Heatmap {...props} />;
      default:
        return (
          <>
            <div className="values-note">No {panel.type} is drawn here; these are its values.</div>
            <Table {...props} height={height - 24} />
          </>
        );
    }
  };

  const panelContext = useMemo(
    () => ({
      eventsScope: context.board?.uid ?? 'explore',
      eventBus: bus,
      sync: () => ((context.board?.graphTooltip ?? 0) === 0 ? DashboardCursorSync.Off : DashboardCursorSync.Crosshair),
      onToggleSeriesVisibility: (label: string | string[] | null, mode: SeriesVisibilityChangeMode) => {
        const names = label === null ? [] : ([] as string[]).concat(label);
        setHidden((now) => toggled(now, names, mode, answer?.frames ?? []));
      },
    }),
    [context.board, answer]
  );

  return (
    <section
      ref={box}
      className="panel"
      aria-label={title || panel.type}
      data-panel-id={id}
      data-panel-type={panel.type}
      data-state={state}
      data-loading={loading}
      data-series={series.series}
      data-points={series.points}
      data-silent={answer?.silent.join(' ')}
    >
      {size.width > 0 && (
        <PanelContextProvider value={panelContext as any}>
          <PanelChrome
            width={size.width}
            height={size.height}
            title={title}
            description={panel.description ? () => renderMarkdown(expand(panel.description!, context, 'text')) : undefined}
            displayMode={panel.transparent ? 'transparent' : 'default'}
            loadingState={loading ? LoadingState.Loading : LoadingState.Done}
            titleItems={titleItems(panel, context, range !== outer.range)}
            statusMessage={error}
            padding="md"
          >
            {(width, height) => <Guard key={panel.type + theme.name} onError={() => setBroken(true)}>{draw(width, height)}</Guard>}
          </PanelChrome>
        </PanelContextProvider>
      )}
    </section>
  );
}

function titleItems(panel: Panel, context: Context, ownTime: boolean): ReactNode {
  const links = panel.links ?? [];
  return (
    <>
      {links.map((l, i) => (
        <a key={i} className="panel-link" href={expand(l.url, context, 'uriencode')} target={l.targetBlank ? '_blank' : undefined} rel="noreferrer">
          {expand(l.title, context, 'text')}
        </a>
      ))}
      {ownTime && !panel.hideTimeOverride && <span className="panel-time">{panel.timeFrom ? `Last ${panel.timeFrom}` : ''} {panel.timeShift ? `shifted by ${panel.timeShift}` : ''}</span>}
    </>
  );
}

// ownRange is the time range of a panel that has one of its own.
function ownRange(panel: Panel, c: Context): TimeRange {
  let range = c.range;
  if (panel.timeFrom) {
    const from = dateMath.toDateTime(`now-${expand(panel.timeFrom, c)}`, {});
    if (from?.isValid()) {
      range = { from, to: dateTime(), raw: { from: `now-${panel.timeFrom}`, to: 'now' } };
    }
  }
  if (panel.timeShift) {
    const ms = rangeUtil.intervalToMs(expand(panel.timeShift, c));
    const from = dateTime(range.from.valueOf() - ms);
    const to = dateTime(range.to.valueOf() - ms);
    range = { from, to, raw: { from, to } };
  }
  return range;
}

async function transform(panel: Panel, frames: DataFrame[], c: Context): Promise<DataFrame[]> {
  const list = (panel.transformations ?? []).filter((t) => !t.disabled);
  if (!list.length) {
    return frames;
  }
  return firstValueFrom(transformDataFrame(list, frames, { interpolate: (text: string) => expand(text, c) }));
}

// shape applies units, colours, overrides, and what the legend has switched off.
function shape(frames: DataFrame[], source: FieldConfigSource, hidden: Set<string>, replace: InterpolateFunction, theme: any, timeZone: string): DataFrame[] {
  const shown = applyFieldOverrides({ data: frames, fieldConfig: source, fieldConfigRegistry: registry(source), replaceVariables: replace, theme, timeZone });
  cacheFieldDisplayNames(shown);
  for (const frame of shown) {
    for (const field of frame.fields) {
      if (field.type === FieldType.number && hidden.has(getFieldDisplayName(field, frame, shown))) {
        field.config.custom = { ...field.config.custom, hideFrom: { viz: true, tooltip: true, legend: false } };
      }
    }
  }
  return shown;
}

function toggled(now: Set<string>, names: string[], mode: SeriesVisibilityChangeMode, frames: DataFrame[]): Set<string> {
  const all = frames.flatMap((f) => f.fields.filter((x) => x.type === FieldType.number).map((x) => getFieldDisplayName(x, f, frames)));
  const next = new Set(now);
  if (mode === SeriesVisibilityChangeMode.AppendToSelection) {
    names.forEach((n) => (next.has(n) ? next.delete(n) : next.add(n)));
    return next;
  }
  const others = all.filter((n) => !names.includes(n));
  const alone = names.every((n) => !now.has(n)) && others.length > 0 && others.every((n) => now.has(n));
  return alone ? new Set() : new Set(others);
}

const some = (v: unknown) => v !== null && v !== undefined && !Number.isNaN(v);

// silent queries gave no value, whatever the others gave.
function silent(panel: Panel, frames: DataFrame[]): string[] {
  const asked = (panel.targets ?? []).filter((t) => t.expr && !t.hide).map((t) => t.refId);
  return asked.filter((ref) => !frames.some((f) => f.refId === ref && f.fields.some((x) => x.type !== FieldType.time && x.values.some(some))));
}

// count of the series and of the values that a panel shows.
function count(panel: Panel, frames: DataFrame[]): { series: number; points: number } {
  if (panel.type === 'logs') {
    const lines = frames.reduce((sum, f) => sum + f.length, 0);
    return { series: lines ? new Set(frames.flatMap((f) => f.fields.find((x) => x.name === 'labels')?.values.map((v) => JSON.stringify(v)) ?? [])).size : 0, points: lines };
  }
  let series = 0;
  let points = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      if (field.type === FieldType.number || (panel.type === 'table' && field.type === FieldType.string)) {
        const values = field.values.filter(some).length;
        if (values) {
          series++;
          points += values;
        }
      }
    }
  }
  return { series, points };
}

function useSize() {
  const ref = useRef<HTMLElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      setSize((s) => (Math.abs(s.width - width) < 1 && Math.abs(s.height - height) < 1 ? s : { width: Math.floor(width), height: Math.floor(height) }));
    });
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  return [ref, size] as const;
}

// useSeen is true once the element is near what is seen of the page.
function useSeen(ref: React.RefObject<HTMLElement | null>): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && setSeen(true), { rootMargin: '300px' });
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, [ref]);
  return seen;
}

// Guard shows what went wrong in place of a panel that cannot be drawn.
class Guard extends Component<{ children: ReactNode; onError: () => void }, { error?: Error }> {
  state: { error?: Error } = {};
  static getDerivedStateFromError(error: Error) {
    return { error };
  }
  componentDidCatch() {
    this.props.onError();
  }
  render() {
    return this.state.error ? <div className="message error" role="alert">This panel cannot be drawn: {this.state.error.message}</div> : this.props.children;
  }
}
