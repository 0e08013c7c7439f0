// The kinds of panels that show values of now, and text.
import { useMemo, useState, type ReactElement } from 'react';
import {

  FieldType,
  formattedValueToString,
  getDisplayValueAlignmentFactors,
  getFieldDisplayName,
  getFieldDisplayValues,
  getFrameDisplayName,
  renderMarkdown,
  textUtil,
  VizOrientation,
  type DataFrame,
  type FieldConfigSource,
  type FieldDisplay,
  type InterpolateFunction,
  type TimeRange,
} from '@grafana/data';
import { BarGauge, BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, Combobox, DataLinksContextMenu, VizLegend, VizRepeater, useTheme2, type VizLegendItem } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { BarGaugeDisplayMode, LegendDisplayMode } from '@grafana/schema';

export interface VizProps {
  frames: DataFrame[];
  source: FieldConfigSource;
  options: any;
  width: number;
  height: number;
  range: TimeRange;
  timeZone: string;
  replace: InterpolateFunction;
}

function useValues({ frames, source, options, replace, timeZone }: VizProps, sparkline = false): FieldDisplay[] {
  const theme = useTheme2();
  return useMemo(
    () =>
      getFieldDisplayValues({
        data: frames,
        fieldConfig: source,
        reduceOptions: { calcs: ['lastNotNull'], values: false, ...options.reduceOptions },
        replaceVariables: replace,
        theme,
        timeZone,
        sparkline,
      }),
    [frames, source, options, replace, theme, timeZone, sparkline]
  );
}

// linked wraps a value in the links that it has: one as an anchor, several
// behind a menu.
function linked(value: FieldDisplay, draw: (open?: any) => ReactElement): ReactElement {
  if (!value.hasLinks || !value.getLinks) {
    return draw();
  }
  return (
    <DataLinksContextMenu links={value.getLinks} style={{ height: '100%' }}>
      {(api) => (api.triggerProps ? <div className="linked" aria-label={`Links of ${value.display.title ?? value.name}`} {...api.triggerProps}>{draw()}</div> : draw())}
    </DataLinksContextMenu>
  );
}

const orientation = (options: any): VizOrientation => options.orientation ?? VizOrientation.Auto;

export function Stat(p: VizProps) {
  const theme = useTheme2();
  const graph = p.options.graphMode ?? BigValueGraphMode.Area;
  const values = useValues(p, graph !== BigValueGraphMode.None);
  return (
    <VizRepeater
      getValues={() => values}
      getAlignmentFactors={(v) => getDisplayValueAlignmentFactors(v)}
      renderValue={({ value, width, height, count, alignmentFactors }) =>
        linked(value, () => (
          <BigValue
            value={value.display}
            sparkline={value.sparkline}
            width={width}
            height={height}
            count={count}
            alignmentFactors={alignmentFactors}
            colorMode={p.options.colorMode ?? BigValueColorMode.Value}
            graphMode={graph}
            justifyMode={p.options.justifyMode}
            textMode={p.options.textMode ?? BigValueTextMode.Auto}
            text={p.options.text}
            disableWideLayout={p.options.wideLayout === false}
            hasLinks={value.hasLinks}
            theme={theme}
          />
        ))
      }
      source={values}
      renderCounter={0}
      width={p.width}
      height={p.height}
      orientation={orientation(p.options)}
      autoGrid
    />
  );
}

export function Bars(p: VizProps) {
  const theme = useTheme2();
  const values = useValues(p);
  const least = p.options.minVizHeight ?? 16;
  const spacing = 8;
  const across = orientation(p.options);
  const whole = across === VizOrientation.Vertical ? p.height : Math.max(p.height, values.length * (least + spacing));
  return (
    <div className="scroll" tabIndex={whole > p.height ? 0 : undefined} style={{ width: p.width, height: p.height }}>
      <VizRepeater
        getValues={() => values}
        getAlignmentFactors={(v) => getDisplayValueAlignmentFactors(v)}
        renderValue={({ value, width, height, orientation, alignmentFactors }) =>
          linked(value, () => (
            <BarGauge
              value={value.display}
              field={value.field}
              display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
              width={width}
              height={height}
              orientation={orientation}
              alignmentFactors={alignmentFactors}
              displayMode={p.options.displayMode ?? BarGaugeDisplayMode.Gradient}
              valueDisplayMode={p.options.valueMode}
              namePlacement={p.options.namePlacement}
              showUnfilled={p.options.showUnfilled ?? true}
              text={p.options.text}
              itemSpacing={spacing}
              lcdCellWidth={12}
              theme={theme}
            />
          ))
        }
        source={values}
        renderCounter={0}
        width={p.width}
        height={whole}
        minVizHeight={least}
        minVizWidth={p.options.minVizWidth ?? 8}
        maxVizHeight={p.options.maxVizHeight ?? 300}
        itemSpacing={spacing}
        orientation={across}
      />
    </div>
  );
}

// Gauge is an arc that the value fills, within a ring of its thresholds.
export function Gauge(p: VizProps) {
  const values = useValues(p);
  return (
    <VizRepeater
      getValues={() => values}
      renderValue={({ value, width, height }) => linked(value, () => <Arc value={value} width={width} height={height} markers={p.options.showThresholdMarkers !== false} />)}
      source={values}
      renderCounter={0}
      width={p.width}
      height={p.height}
      orientation={orientation(p.options)}
      autoGrid
    />
  );
}

const sweep = 1.5 * Math.PI; // of the whole arc
const begin = 0.75 * Math.PI;

function arc(cx: number, cy: number, r: number, from: number, to: number): string {
  const at = (share: number) => [cx + r * Math.cos(begin + sweep * share), cy + r * Math.sin(begin + sweep * share)].map((n) => n.toFixed(2)).join(' ');
  return `M ${at(from)} A ${r} ${r} 0 ${(to - from) * sweep > Math.PI ? 1 : 0} 1 ${at(to)}`;
}

function Arc({ value, width, height, markers }: { value: FieldDisplay; width: number; height: number; markers: boolean }) {
  const theme = useTheme2();
  const { display, field } = value;
  const min = field.min ?? 0;
  const max = field.max ?? Math.max(100, display.numeric);
  const share = (n: number) => Math.min(1, Math.max(0, (n - min) / (max - min || 1)));
  const title = display.title ? 18 : 0;
  const r = Math.max(10, Math.min(width / 2, (height - title) / 1.75) - 14);
  const cx = width / 2;
  const cy = r + 14;
  const thick = r * 0.22;
  const text = formattedValueToString(display);
  const percent = field.thresholds?.mode === 'percentage';
  const steps = (field.thresholds?.steps ?? []).map((s) => ({ color: s.color, from: s.value === -Infinity || s.value === null ? 0 : percent ? s.value / 100 : share(s.value) }));
  return (
    <svg width={width} height={height} role="img" aria-label={`${display.title ?? ''} ${text}`}>
      <path d={arc(cx, cy, r - thick / 2, 0, 1)} fill="none" stroke={theme.colors.background.secondary} strokeWidth={thick} />
      {share(display.numeric) > 0 && <path d={arc(cx, cy, r - thick / 2, 0, share(display.numeric))} fill="none" stroke={display.color} strokeWidth={thick} />}
      {markers && steps.map((s, i) => <path key={i} d={arc(cx, cy, r + 4, s.from, steps[i + 1]?.from ?? 1)} fill="none" stroke={theme.visualization.getColorByName(s.color)} strokeWidth={4} />)}
      <text x={cx} y={cy + r * 0.12} textAnchor="middle" fontSize={Math.max(10, Math.min(r * 0.45, (r * 2.2) / text.length))} fontWeight={500} fill={display.color ?? theme.colors.text.primary}>
        {text}
      </text>
      {display.title && (
        <text x={cx} y={height - 4} textAnchor="middle" fontSize={13} fill={theme.colors.text.primary}>
          {display.title}
        </text>
      )}
    </svg>
  );
}

// Pie shows shares.
export function Pie(p: VizProps) {
  const theme = useTheme2();
  const [hidden, setHidden] = useState<Set<string>>(new Set());
  const values = useValues(p).filter((v) => Number.isFinite(v.display.numeric) && v.display.numeric >= 0);
  const shown = values.filter((v) => !hidden.has(v.display.title ?? ''));
  const total = shown.reduce((sum, v) => sum + v.display.numeric, 0);
  const legend = { showLegend: true, placement: 'right', displayMode: 'list', values: [], ...p.options.legend };
  const right = legend.showLegend && legend.placement === 'right' && p.width > 240;
  const text = (v: FieldDisplay, of: string) => (of === 'percent' ? (total ? `${Math.round((v.display.numeric / total) * 100)}%` : '0%') : formattedValueToString(v.display));
  const items: VizLegendItem[] = values.map((v) => ({
    label: v.display.title ?? v.name,
    color: v.display.color,
    yAxis: 1,
    disabled: hidden.has(v.display.title ?? ''),
    getDisplayValues: () => (legend.values as string[]).map((of) => ({ numeric: v.display.numeric, text: text(v, of), title: of === 'percent' ? 'Percent' : 'Value' })),
  }));
  const side = Math.max(40, right ? Math.min(p.height, p.width * 0.5) : Math.min(p.width, p.height - (legend.showLegend ? Math.min(p.height * 0.45, legend.displayMode === 'table' ? 26 * values.length + 14 : 40) : 0)));
  const r = side / 2 - 4;
  const inner = p.options.pieType === 'donut' ? r * 0.62 : 0;
  const labels: string[] = p.options.displayLabels ?? [];
  let turned = -Math.PI / 2;
  const toggle = (item: VizLegendItem) => setHidden((h) => { const next = new Set(h); next.has(item.label) ? next.delete(item.label) : next.add(item.label); return next; });
  return (
    <div className="pie" style={{ width: p.width, height: p.height, flexDirection: right ? 'row' : 'column' }}>
      <svg width={side} height={side} role="img" aria-label={shown.map((v) => `${v.display.title}: ${text(v, 'percent')}`).join(', ')}>
        {shown.map((v, i) => {
          const share = total ? v.display.numeric / total : 0;
          const from = turned;
          const to = (turned += share * 2 * Math.PI);
          const middle = (from + to) / 2;
          const name = v.display.title ?? v.name;
          const hint = `${name}: ${formattedValueToString(v.display)} (${text(v, 'percent')})`;
          const label = labels.map((l) => (l === 'name' ? name : text(v, l))).join(' ');
          const c = side / 2;
          const at = (radius: number) => [c + radius * Math.cos(middle), c + radius * Math.sin(middle)];
          const [x, y] = at(inner ? (r + inner) / 2 : r * 0.65);
          return (
            <g key={i}>
              <path d={slice(c, r, inner, from, to)} fill={v.display.color} stroke={theme.colors.background.primary} strokeWidth={1}>
                <title>{hint}</title>
              </path>
              {label && share > 0.05 && (
                <text x={x} y={y} textAnchor="middle" dominantBaseline="central" fontSize={Math.max(9, r * 0.15)} fill={theme.colors.getContrastText(v.display.color ?? '#000')} pointerEvents="none">
                  {label}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      {legend.showLegend && (
        <div className="pie-legend" style={{ alignSelf: right ? 'center' : 'stretch' }}>
          <VizLegend items={items} displayMode={legend.displayMode === 'table' ? LegendDisplayMode.Table : LegendDisplayMode.List} placement={right ? 'right' : 'bottom'} onLabelClick={toggle} />
        </div>
      )}
    </div>
  );
}

function slice(c: number, r: number, inner: number, from: number, to: number): string {
  to = Math.min(to, from + 2 * Math.PI - 1e-4); // a whole circle is no arc
  const big = to - from > Math.PI ? 1 : 0;
  const at = (radius: number, angle: number) => `${(c + radius * Math.cos(angle)).toFixed(2)} ${(c + radius * Math.sin(angle)).toFixed(2)}`;
  return `M ${at(r, from)} A ${r} ${r} 0 ${big} 1 ${at(r, to)} L ${at(inner, to)} ` + (inner ? `A ${inner} ${inner} 0 ${big} 0 ${at(inner, from)} Z` : 'Z');
}

export function Table(p: VizProps) {
  const [chosen, choose] = useState(0);
  const frames = p.frames.filter((f) => f.fields.length);
  const index = Math.min(chosen, frames.length - 1);
  const frame = frames[index];
  if (!frame) {
    return null;
  }
  const several = frames.length > 1;
  return (
    <>
      <TableNG
        key={index}
        data={frame}
        width={p.width}
        height={p.height - (several ? 40 : 0)}
        noHeader={p.options.showHeader === false}
        cellHeight={p.options.cellHeight}
        sortBy={p.options.sortBy}
        enablePagination={p.options.footer?.enablePagination}
        frozenColumns={p.options.frozenColumns?.left}
        fieldConfig={p.source}
        timeRange={p.range}
        structureRev={1}
        enableVirtualization
      />
      {several && (
        <Combobox aria-label="Frame" options={frames.map((f, i) => ({ label: getFrameDisplayName(f, i), value: i }))} value={index} onChange={(o) => choose(o.value)} />
      )}
    </>
  );
}

// Text is Markdown, or HTML of which no script is left.
export function Text({ options, replace, width, height }: Pick<VizProps, 'options' | 'replace' | 'width' | 'height'>) {
  const content = replace(options.content ?? '', {}, 'text');
  if (options.mode === 'code') {
    return <pre className="text scroll" tabIndex={0} style={{ width, height }}>{content}</pre>;
  }
  const html = options.mode === 'html' ? textUtil.sanitizeTextPanelContent(content) : renderMarkdown(content);
  return <div className="text markdown-html scroll" tabIndex={0} style={{ width, height }} dangerouslySetInnerHTML={{ __html: html }} />;
}

// byTime tells whether frames are lines over time.
export const byTime = (frames: DataFrame[]) => frames.some((f) => f.fields.some((x) => x.type === FieldType.time) && f.fields.some((x) => x.type === FieldType.number));

// Heatmap draws a column for each time and a row for each bucket.
export function Heatmap(p: VizProps) {
  const theme = useTheme2();
  const [tip, setTip] = useState<{ x: number; y: number; text: string } | undefined>();
  const rows = p.frames.flatMap((f) => {
    const time = f.fields.find((x) => x.type === FieldType.time);
    return time ? f.fields.filter((x) => x.type === FieldType.number).map((x) => ({ name: getFieldDisplayName(x, f, p.frames), at: new Map<number, number>(time.values.map((t, i) => [t, x.values[i]] as [number, number])) })) : [];
  });
  const times = [...new Set(rows.flatMap((r) => [...r.at.keys()]))].sort((a, b) => a - b);
  const most = Math.max(1e-300, ...rows.flatMap((r) => [...r.at.values()].filter((v) => Number.isFinite(v))));
  const left = 64;
  const foot = 22;
  const w = Math.max(10, p.width - left);
  const h = Math.max(10, p.height - foot);
  const from = p.range.from.valueOf();
  const span = p.range.to.valueOf() - from || 1;
  const gap = times.length > 1 ? Math.min(...times.slice(1).map((t, i) => t - times[i])) : span;
  const cell = h / (rows.length || 1);
  const draw = (canvas: HTMLCanvasElement | null) => {
    const ctx = canvas?.getContext('2d');
    if (!canvas || !ctx) {
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    canvas.width = w * ratio;
    canvas.height = h * ratio;
    ctx.scale(ratio, ratio);
    const high = theme.visualization.getColorByName(theme.isDark ? 'super-light-orange' : 'dark-orange');
    rows.forEach((row, i) => {
      for (const [t, v] of row.at) {
        if (v > 0) {
          ctx.globalAlpha = 0.15 + 0.85 * Math.sqrt(v / most);
          ctx.fillStyle = high;
          const x = ((t - gap - from) / span) * w;
          ctx.fillRect(x, h - (i + 1) * cell, Math.max(1, (gap / span) * w - 1), Math.max(1, cell - 1));
        }
      }
    });
  };
  const hover = (e: React.MouseEvent) => {
    const box = e.currentTarget.getBoundingClientRect();
    const x = e.clientX - box.left;
    const y = e.clientY - box.top;
    const t = times.find((s) => s >= from + (x / w) * span);
    const row = rows[Math.floor((h - y) / cell)];
    const v = row && t !== undefined ? row.at.get(t) : undefined;
    setTip(v === undefined ? undefined : { x: left + x, y, text: `${new Date(t!).toLocaleTimeString()} · ${row.name}: ${v.toPrecision(3)}` });
  };
  const every = Math.max(1, Math.ceil((rows.length * 14) / h));
  const ticks = Math.max(2, Math.floor(w / 110));
  return (
    <div className="heatmap" style={{ width: p.width, height: p.height }}>
      <svg width={p.width} height={p.height} aria-hidden>
        {rows.map((r, i) => i % every === 0 && <text key={i} x={left - 6} y={h - i * cell - cell / 2} textAnchor="end" dominantBaseline="central" fontSize={11} fill={theme.colors.text.secondary}>{r.name}</text>)}
        {Array.from({ length: ticks }, (_, i) => (
          <text key={i} x={left + (w * (i + 0.5)) / ticks} y={p.height - 5} textAnchor="middle" fontSize={11} fill={theme.colors.text.secondary}>
            {new Date(from + (span * (i + 0.5)) / ticks).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}
          </text>
        ))}
      </svg>
      <canvas ref={draw} role="img" aria-label={`Heatmap of ${rows.length} buckets`} style={{ left, width: w, height: h }} onMouseMove={hover} onMouseLeave={() => setTip(undefined)} />
      {tip && <div className="heatmap-tip" style={{ left: Math.min(tip.x, p.width - 180), top: tip.y + 12 }}>{tip.text}</div>}
    </div>
  );
}

