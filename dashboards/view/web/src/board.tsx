// A board: its variables, its rows, its panels.
import { useEffect, useMemo, useState, type CSSProperties, type ReactNode } from 'react';
import { Icon } from '@grafana/ui';
import { PanelView } from './panel';
import { annotations as findAnnotations, type Annotation } from './query';
import { expand, resolve, type Context } from './variables';
import { sections, type Section } from './layout';
import { Links, TimeControls, Variables } from './controls';
import { useTime } from './time';
import { useURL } from './url';
import type { Board, BoardInfo, Config, Note } from './types';
import type { Chrome } from './app';

interface Props {
  board: Board;
  boards: BoardInfo[];
  config: Config;
  chrome: Chrome;
  events?: Note['events']; // drawn into graphs beside the board's annotations
  children?: ReactNode; // above the rows
}

const eventsName = 'Events'; // of their switch

export function BoardView({ board, boards, config, chrome, events, children }: Props) {
  const url = useURL();
  const time = useTime({ from: board.time?.from ?? 'now-1h', to: board.time?.to ?? 'now', refresh: board.refresh || '', timeZone: board.timezone || 'browser' });
  const given = [...url.searchParams].filter(([name]) => name.startsWith('var-')).map((p) => p.join('=')).join('&');
  const switches = [...url.searchParams].filter(([name]) => name.startsWith('annotation-')).map((p) => p.join('=')).join('&');

  const [context, setContext] = useState<Context>();
  const [loading, setLoading] = useState(true);
  useEffect(() => {
    const abort = new AbortController();
    setLoading(true);
    resolve(board, config, time.range, new URL(window.location.href).searchParams, abort.signal)
      .then((vars) => !abort.signal.aborted && setContext({ vars, range: time.range, config, board }))
      .finally(() => !abort.signal.aborted && setLoading(false));
    return () => abort.abort();
  }, [board, config, time.range, given]);

  const list = useMemo(() => (board.annotations?.list ?? []).filter((a) => !a.builtIn && a.expr), [board]);
  const off = (name: string) => {
    const said = url.searchParams.get('annotation-' + name);
    return said ? said === 'off' : name !== eventsName && !list.find((a) => a.name === name)?.enable;
  };
  const [marks, setMarks] = useState<Annotation[]>([]);
  const [markError, setMarkError] = useState<string>();
  useEffect(() => {
    if (!context) {
      return;
    }
    const abort = new AbortController();
    findAnnotations(list.filter((a) => !off(a.name)), context, abort.signal)
      .then((found) => {
        setMarks(found);
        setMarkError(undefined);
      })
      .catch((e) => abort.signal.aborted || setMarkError(String(e.message ?? e)));
    return () => abort.abort();
    // off changes with switches
  }, [list, context, switches]);

  useEffect(() => {
    document.title = `${board.title} · Corkline`;
  }, [board.title]);

  // Those that say the same are the same, so that graphs are not drawn anew.
  const said = JSON.stringify(events ?? []);
  const drawn = useMemo(() => {
    const own = JSON.parse(said) as Note['events'];
    return off(eventsName) ? marks : [...marks, ...own.map((e): Annotation => ({ ...e, tags: [], color: 'purple', faint: true }))];
  }, [marks, said, switches]);
  const shown = list.filter((a) => !a.hide);
  if (events?.length) {
    shown.push({ name: eventsName, enable: true });
  }

  const layout = useMemo(() => context && sections(board, context.vars), [board, context?.vars]);
  return (
    <>
      {chrome(
        <TimeControls time={time} loading={loading} />,
        <>
          {context && <Links board={board} boards={boards} context={context} />}
          {context && <Variables vars={context.vars} annotations={shown} off={off} />}
          {markError && <div className="message error" role="alert">Annotations: {markError}</div>}
        </>
      )}
      <main className="board" data-board={board.uid} data-ready={context !== undefined && !loading}>
        <h1 className="hidden-label">{board.title}</h1>
        {children}
        {context && layout?.map((s) => <SectionView key={s.key} section={s} context={context} timeZone={time.timeZone} annotations={drawn} />)}
      </main>
    </>
  );
}

function SectionView({ section, context, timeZone, annotations }: { section: Section; context: Context; timeZone: string; annotations: Annotation[] }) {
  const [closed, setClosed] = useState(section.row?.collapsed ?? false);
  const contexts = useMemo(() => section.panels.map((p) => ({ ...context, scoped: p.scoped })), [section, context]);
  const id = 'row-' + section.key;
  return (
    <>
      {section.row && (
        <h2 className="board-row">
          <button type="button" aria-expanded={!closed} aria-controls={id} onClick={() => setClosed(!closed)}>
            <Icon name={closed ? 'angle-right' : 'angle-down'} />
            {expand(section.row.title ?? '', { ...context, scoped: section.scoped }, 'text')}
            {closed && <span className="row-count">{section.panels.length} panels</span>}
          </button>
        </h2>
      )}
      <div className="grid" id={id} hidden={closed}>
        {!closed &&
          section.panels.map((p, i) => (
            <div key={p.id} className="cell" style={{ '--x': p.x + 1, '--y': p.y + 1, '--w': p.w, '--h': p.h } as CSSProperties}>
              <PanelView panel={p.panel} id={p.id} context={contexts[i]} timeZone={timeZone} annotations={annotations} />
            </div>
          ))}
      </div>
    </>
  );
}
