// Explore: one box for PromQL or LogQL, and what it gives.
import { useEffect, useMemo, useState } from 'react';
import { Button, RadioButtonGroup, TextArea } from '@grafana/ui';
import { PanelView } from './panel';
import { TimeControls } from './controls';
import { useTime } from './time';
import { setParams, useURL } from './url';
import type { Config, Panel } from './types';
import type { Context } from './variables';
import type { Chrome } from './app';

type Store = 'prometheus' | 'loki';

interface Query {
  store: Store;
  expr: string;
}

// given is the query of the URL: ours, or that of a link for Grafana.
function given(params: URLSearchParams): Query & { from?: string; to?: string } {
  const panes = params.get('panes');
  if (panes) {
    try {
      const pane: any = Object.values(JSON.parse(panes))[0];
      const q = pane.queries?.[0] ?? {};
      const named = `${q.datasource?.type ?? ''} ${q.datasource?.uid ?? ''} ${pane.datasource ?? ''}`;
      return { store: /loki/i.test(named) ? 'loki' : 'prometheus', expr: q.expr ?? '', from: pane.range?.from, to: pane.range?.to };
    } catch {
      // not Grafana's form
    }
  }
  return { store: params.get('store') === 'loki' ? 'loki' : 'prometheus', expr: params.get('expr') ?? '' };
}

// isLog tells whether LogQL asks for lines, not for numbers.
export const isLog = (expr: string) => /^\s*\{/.test(expr);

function panels(q: Query): Array<{ panel: Panel; h: number }> {
  const base = { datasource: { type: q.store }, gridPos: { x: 0, y: 0, w: 24, h: 10 } };
  const target = { refId: 'A', expr: q.expr };
  if (q.store === 'loki' && isLog(q.expr)) {
    return [{ h: 20, panel: { ...base, id: 1, type: 'logs', title: 'Lines', targets: [{ ...target, queryType: 'range' }], options: { showTime: true, sortOrder: 'Descending' } } }];
  }
  const custom = { drawStyle: 'line', lineWidth: 1, fillOpacity: 10, showPoints: 'auto', pointSize: 4 };
  return [
    {
      h: 10,
      panel: { ...base, id: 1, type: 'timeseries', title: 'Over time', targets: [{ ...target, range: true, queryType: 'range' }], options: { tooltip: { mode: 'multi', sort: 'desc' } }, fieldConfig: { defaults: { custom }, overrides: [] } },
    },
    {
      h: 9,
      panel: { ...base, id: 2, type: 'table', title: 'Now', targets: [{ ...target, instant: true, range: false, queryType: 'instant', format: 'table' }], options: { showHeader: true }, transformations: [] },
    },
  ];
}

export function Explore({ config, chrome }: { config: Config; chrome: Chrome }) {
  const params = useURL().searchParams;
  const key = params.toString();
  // eslint-disable-next-line
  const query = useMemo(() => given(params), [key]);
  const time = useTime({ from: query.from ?? 'now-1h', to: query.to ?? 'now', refresh: '', timeZone: 'browser' });
  const [store, setStore] = useState<Store>(query.store);
  const [expr, setExpr] = useState(query.expr);
  useEffect(() => {
    setStore(query.store);
    setExpr(query.expr);
  }, [query.store, query.expr]);
  useEffect(() => {
    document.title = 'Explore · Corkline';
  }, []);
  const context: Context = useMemo(() => ({ vars: [], range: time.range, config }), [time.range, config]);
  const results = useMemo(() => (query.expr.trim() ? panels({ store: query.store, expr: query.expr }) : []), [query.store, query.expr]);
  const ask = (with_: Store = store) => {
    const text = (t: any) => (typeof t === 'string' ? t : String(t.valueOf()));
    setParams({ panes: undefined, schemaVersion: undefined, store: with_, expr, from: text(time.range.raw.from), to: text(time.range.raw.to) });
    time.again();
  };
  return (
    <>
      {chrome(<TimeControls time={time} loading={false} />, null)}
      <main className="board" data-board="explore" data-ready>
        <h1 className="hidden-label">Explore</h1>
        <form
          className="explore"
          onSubmit={(e) => {
            e.preventDefault();
            ask();
          }}
        >
          <RadioButtonGroup<Store>
            aria-label="Language"
            options={[
              { label: 'PromQL', value: 'prometheus' },
              { label: 'LogQL', value: 'loki' },
            ]}
            value={store}
            onChange={(s) => setStore(s)}
          />
          <TextArea
            aria-label={store === 'loki' ? 'LogQL' : 'PromQL'}
            placeholder={store === 'loki' ? '{job="corkline"} |= "Drop"' : 'sum by (action) (rate(corkline_networkpolicy_logged_packets_total[5m]))'}
            rows={Math.min(8, Math.max(2, expr.split('\n').length))}
            value={expr}
            spellCheck={false}
            onChange={(e) => setExpr(e.currentTarget.value)}
            onKeyDown={(e) => {
              if (e.key === 'Enter' && !e.shiftKey) {
                e.preventDefault();
                ask();
              }
            }}
          />
          <Button type="submit">Run</Button>
        </form>
        {results.map(({ panel, h }) => (
          <div key={panel.id + panel.type} className="explore-result" style={{ height: h * 38 }}>
            <PanelView panel={panel} id={String(panel.id)} context={context} timeZone={time.timeZone} eager />
          </div>
        ))}
      </main>
    </>
  );
}
