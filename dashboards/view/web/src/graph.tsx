// Lines, bars and points over time.
import { useLayoutEffect, useMemo, useRef } from 'react';
import { FieldType, dateTimeFormat, formattedValueToString, getFieldDisplayName, type DataFrame, type TimeRange } from '@grafana/data';
import { KeyboardPlugin, TimeSeries, TooltipPlugin2, VizTooltipContent, VizTooltipHeader, VizTooltipWrapper, useTheme2, type UPlotConfigBuilder } from '@grafana/ui';
import { SortOrder, TooltipDisplayMode } from '@grafana/schema';
import type { Annotation } from './query';

const xAll = 1; // TooltipHoverMode, of which only the type is exported
const xOne = 0;

interface Props {
  frames: DataFrame[];
  options: any;
  width: number;
  height: number;
  range: TimeRange;
  timeZone: string;
  annotations: Annotation[];
  sync: boolean;
  onZoom: (from: number, to: number) => void;
}

export function Graph({ frames, options, width, height, range, timeZone, annotations, sync, onZoom }: Props) {
  const legend = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [], ...options.legend };
  // A legend to the right takes a part of a wide panel, and goes below in a narrow one.
  if (legend.placement === 'right' && width < 400) {
    legend.placement = 'bottom';
  }
  const mode: TooltipDisplayMode = options.tooltip?.mode ?? TooltipDisplayMode.Single;
  const rev = useRev(frames);
  return (
    <TimeSeries frames={frames} structureRev={rev} width={width} height={height} timeRange={range} timeZone={timeZone} legend={legend} options={options}>
      {(builder, aligned) => (
        <>
          {mode !== TooltipDisplayMode.None && (
            <TooltipPlugin2
              config={builder}
              hoverMode={mode === TooltipDisplayMode.Single ? xOne : xAll}
              syncMode={sync ? 1 : 0}
              queryZoom={({ from, to }) => onZoom(from, to)}
              render={(_u, idxs, series, pinned) => (
                <Tip frame={aligned} frames={frames} idxs={idxs} series={series} pinned={pinned} single={mode === TooltipDisplayMode.Single} sort={options.tooltip?.sort} timeZone={timeZone} annotations={annotations} />
              )}
            />
          )}
          <KeyboardPlugin config={builder} />
          <Marks builder={builder} annotations={annotations} />
        </>
      )}
    </TimeSeries>
  );
}

// useRev counts up when the series are others, or are shown otherwise.
function useRev(frames: DataFrame[]): number {
  const state = useRef({ key: '', rev: 1 });
  const key = useMemo(
    () => JSON.stringify(frames.map((f) => f.fields.map((x) => [x.name, x.labels, x.type, x.config, x.state?.displayName]))),
    [frames]
  );
  if (state.current.key !== key) {
    state.current = { key, rev: state.current.rev + 1 };
  }
  return state.current.rev;
}

function Tip(p: { frame: DataFrame; frames: DataFrame[]; idxs: Array<number | null>; series: number | null; pinned: boolean; single: boolean; sort?: SortOrder; timeZone: string; annotations: Annotation[] }) {
  const time = p.frame.fields[0];
  const at = p.idxs[0] ?? p.idxs.find((i) => i !== null && i !== undefined);
  if (at === null || at === undefined) {
    return null;
  }
  const items = p.frame.fields.flatMap((field, i) => {
    const idx = p.idxs[i];
    const hide = field.config.custom?.hideFrom;
    if (i === 0 || field.type !== FieldType.number || idx === null || idx === undefined || field.values[idx] === null || field.values[idx] === undefined || hide?.tooltip || hide?.viz || (p.single && p.series !== i)) {
      return [];
    }
    const shown = field.display!(field.values[idx]);
    return [{ label: getFieldDisplayName(field, p.frame, p.frames), value: formattedValueToString(shown), color: shown.color ?? undefined, numeric: Number(field.values[idx]), isActive: p.series === i }];
  });
  if (p.sort === SortOrder.Descending || p.sort === SortOrder.Ascending) {
    items.sort((a, b) => (p.sort === SortOrder.Descending ? b.numeric - a.numeric : a.numeric - b.numeric));
  }
  const ms: number = time.values[at];
  const gap = (time.values[1] ?? ms) - (time.values[0] ?? ms) || 15000;
  const near = p.annotations.filter((a) => a.from <= ms + gap && a.to >= ms - gap);
  return (
    <VizTooltipWrapper>
      <VizTooltipHeader item={{ label: '', value: dateTimeFormat(ms, { timeZone: p.timeZone }) }} isPinned={p.pinned} />
      <VizTooltipContent items={items} isPinned={p.pinned} scrollable={p.pinned} maxHeight={300} />
      {near.map((a, i) => (
        <div key={i} className="tip-annotation" style={{ borderLeftColor: a.color }}>
          <b>{a.title}</b> {a.text} {a.tags.join(' · ')}
        </div>
      ))}
    </VizTooltipWrapper>
  );
}

// Marks draws annotations: a line where one begins, a band while it lasts.
function Marks({ builder, annotations }: { builder: UPlotConfigBuilder; annotations: Annotation[] }) {
  const theme = useTheme2();
  const current = useRef(annotations);
  const plot = useRef<any>(null);
  current.current = annotations;
  useLayoutEffect(() => {
    builder.addHook('init', (u: any) => {
      plot.current = u;
    });
    builder.addHook('draw', (u: any) => {
      const { ctx } = u;
      const { left, top, width, height } = u.bbox;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, top, width, height);
      ctx.clip();
      // Bands of a color are one: many alerts at once do not hide the graph.
      const bands = new Map<string, Path2D>();
      for (const a of current.current.filter((a) => a.to > a.from && !a.faint)) {
        const x = Math.round(u.valToPos(a.from, 'x', true));
        const band = bands.get(a.color) ?? new Path2D();
        band.rect(x, top, Math.round(u.valToPos(a.to, 'x', true)) - x, height);
        bands.set(a.color, band);
      }
      ctx.globalAlpha = 0.12;
      for (const [color, band] of bands) {
        ctx.fillStyle = theme.visualization.getColorByName(color);
        ctx.fill(band);
      }
      for (const a of current.current) {
        const color = theme.visualization.getColorByName(a.color);
        const x = Math.round(u.valToPos(a.from, 'x', true));
        const end = Math.round(u.valToPos(a.to, 'x', true));
        ctx.fillStyle = ctx.strokeStyle = color;
        ctx.globalAlpha = a.faint ? 0.6 : 1;
        ctx.setLineDash([4, 4]);
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, top + height);
        ctx.stroke();
        if (a.faint) {
          ctx.fillRect(x - 1, top + height - 2, Math.max(2, end - x), 2);
        } else {
          ctx.fillRect(x - 3, top + height - 5, Math.max(6, end - x + 6), 5);
        }
      }
      ctx.restore();
    });
  }, [builder, theme]);
  useLayoutEffect(() => {
    plot.current?.redraw?.(false);
  }, [annotations]);
  return null;
}

