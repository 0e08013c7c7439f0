// The page: what all boards have above them, and which board is open.
import { useEffect, useMemo, useState, type ReactNode } from 'react';
import { renderMarkdown } from '@grafana/data';
import { Combobox, IconButton, LinkButton } from '@grafana/ui';
import { get } from './client';
import { BoardView } from './board';
import { Explore } from './explore';
import { navigate, useURL } from './url';
import type { Board, BoardInfo, Config, Note } from './types';

// Chrome puts controls into the head of the page: beside the title, and below.
export type Chrome = (beside: ReactNode, below: ReactNode) => ReactNode;

interface Props {
  config: Config;
  boards: BoardInfo[];
  dark: boolean;
  onTheme: (dark: boolean) => void;
}

export function App({ config, boards, dark, onTheme }: Props) {
  const url = useURL();
  const uid = /^\/d\/([^/]+)/.exec(url.pathname)?.[1];
  const explore = url.pathname === '/explore';
  useEffect(() => {
    if (!uid && !explore && boards.length) {
      navigate(`/d/${encodeURIComponent(boards[0].uid)}${window.location.search}`, true);
    }
  }, [uid, explore, boards]);

  const [board, setBoard] = useState<Board>();
  const [error, setError] = useState<string>();
  useEffect(() => {
    setBoard(undefined);
    setError(undefined);
    if (!uid) {
      return;
    }
    const abort = new AbortController();
    get(`/api/dashboards/${uid}`, abort.signal)
      .then(setBoard)
      .catch((e) => abort.signal.aborted || setError(String(e.message ?? e)));
    return () => abort.abort();
  }, [uid]);

  const note = useNote(config);
  const open = uid ? decodeURIComponent(uid) : undefined;
  const choices = useMemo(() => grouped(boards), [boards]);
  const carried = new URLSearchParams([...url.searchParams].filter(([k]) => k === 'from' || k === 'to' || k === 'timezone' || k.startsWith('var-')));
  const chrome: Chrome = (beside, below) => (
    <header className="head">
      <div className="bar">
        <a className="brand" href="/" aria-label="Corkline, the first board">
          <Floats />
          Corkline
        </a>
        <div className="picker">
          <Combobox aria-label="Board" options={choices} value={open ?? null} placeholder={explore ? 'Explore' : 'Boards'} onChange={(o) => navigate(`/d/${encodeURIComponent(o.value)}?${carried}`)} />
        </div>
        <div className="space" />
        {beside}
        {!explore && (
          <LinkButton variant="secondary" icon="compass" href={`/explore?${new URLSearchParams([...carried].filter(([k]) => !k.startsWith('var-')))}`}>
            Explore
          </LinkButton>
        )}
        <IconButton name="adjust-circle" size="lg" tooltip={dark ? 'Light theme' : 'Dark theme'} onClick={() => onTheme(!dark)} />
      </div>
      {below}
    </header>
  );

  return (
    <>
      {explore ? (
        <Explore config={config} chrome={chrome} />
      ) : board && board.uid === open ? (
        <BoardView key={board.uid} board={board} boards={boards} config={config} chrome={chrome} events={note?.events}>
          {note && board.uid === boards[0].uid && <NoteView note={note} />}
        </BoardView>
      ) : (
        <>
          {chrome(null, null)}
          <main className="board" data-board="">
            {error && <div className="message error" role="alert">{error}</div>}
            {!boards.length && <div className="message">There is no board.</div>}
          </main>
        </>
      )}
      <footer className="foot">
        corkline {config.version} · drawn with Grafana's libraries, without a Grafana · <a href="/static/notices.txt">notices</a>
      </footer>
    </>
  );
}

// grouped are the boards by the first tag that tells them apart: those of all
// boards do not.
function grouped(boards: BoardInfo[]) {
  const common = (boards[0]?.tags ?? []).filter((t) => boards.every((b) => b.tags.includes(t)));
  return boards.map((b) => ({ label: b.title, value: b.uid, description: b.description, group: b.tags.find((t) => !common.includes(t)) }));
}

const noteEvery = 10_000; // ms

// useNote asks now and then what the server has to say.
function useNote(config: Config): Note | undefined {
  const [note, setNote] = useState<Note>();
  useEffect(() => {
    if (!config.note) {
      return;
    }
    const ask = () => document.hidden || get('/api/note').then(setNote).catch(() => setNote(undefined));
    ask();
    const timer = window.setInterval(ask, noteEvery);
    return () => window.clearInterval(timer);
  }, [config]);
  return note;
}

const NoteView = ({ note }: { note: Note }) => <aside className="note markdown-html" aria-label="About this data" dangerouslySetInnerHTML={{ __html: renderMarkdown(note.text) }} />;

// Floats of a net's upper edge.
const Floats = () => (
  <svg width="26" height="18" viewBox="0 0 26 18" aria-hidden>
    <path d="M1 6 Q7 11 13 6 T25 6" fill="none" stroke="currentColor" strokeWidth="1.6" />
    <circle cx="4" cy="8" r="3" fill="#ff7a30" />
    <circle cx="13" cy="6" r="3" fill="#ff7a30" />
    <circle cx="22" cy="4.5" r="3" fill="#ff7a30" />
  </svg>
);
