// What stands above a board: time, refresh, variables, links.
import { useEffect, useState } from 'react';
import { Button, Combobox, Dropdown, Input, InlineSwitch, Menu, MultiCombobox, RefreshPicker, TimeRangePicker } from '@grafana/ui';
import { setParams } from './url';
import { ALL, timeParams, variableParams, expand, type Context, type Variable } from './variables';
import type { AnnotationQuery, Board, BoardInfo } from './types';
import type { Time } from './time';

export function TimeControls({ time, loading }: { time: Time; loading: boolean }) {
  return (
    <>
      <TimeRangePicker
        value={time.range}
        timeZone={time.timeZone}
        onChange={time.set}
        onChangeTimeZone={(zone) => setParams({ timezone: zone })}
        onMoveBackward={() => time.shift(-0.5, -0.5)}
        onMoveForward={() => time.shift(0.5, 0.5)}
        onZoom={() => time.shift(-0.5, 0.5)}
      />
      <RefreshPicker value={time.refresh} isLoading={loading} onRefresh={time.again} onIntervalChanged={(refresh) => setParams({ refresh })} tooltip="Refresh" />
    </>
  );
}

export function Variables({ vars, annotations, off }: { vars: Variable[]; annotations: AnnotationQuery[]; off: (name: string) => boolean }) {
  const shown = vars.filter((v) => v.model.hide !== 2 && v.model.type !== 'constant' && !(v.model.type === 'datasource' && v.options.length < 2));
  return (
    <div className="variables">
      {shown.map((v) => (
        <div key={v.model.name} className="variable" data-variable={v.model.name} title={v.error ?? v.model.description ?? undefined}>
          {v.model.hide !== 1 && (
            <label htmlFor={'var-' + v.model.name} className={v.error ? 'failed' : ''}>
              {v.model.label || v.model.name}
            </label>
          )}
          <Choice v={v} />
        </div>
      ))}
      {annotations.map((a) => (
        <InlineSwitch
          key={a.name}
          id={'annotation-' + a.name}
          label={a.name}
          showLabel
          value={!off(a.name)}
          onChange={(e) => setParams({ ['annotation-' + a.name]: e.currentTarget.checked ? (a.enable ? undefined : 'on') : 'off' })}
        />
      ))}
    </div>
  );
}

function Choice({ v }: { v: Variable }) {
  const id = 'var-' + v.model.name;
  const set = (values: string[]) => setParams({ [id]: values });
  if (v.model.type === 'textbox') {
    return <TextBox id={id} value={v.values[0] ?? ''} onChange={(text) => set([text])} />;
  }
  const list = [...(v.model.includeAll ? [{ label: 'All', value: ALL }] : []), ...v.options.map((o) => ({ label: o.text, value: o.value }))];
  for (const value of v.values) {
    if (!list.some((o) => o.value === value)) {
      list.push({ label: value, value });
    }
  }
  if (!v.model.multi) {
    return <Combobox id={id} width="auto" minWidth={12} maxWidth={40} options={list} value={v.values[0] ?? null} createCustomValue onChange={(o) => set([o.value])} />;
  }
  return (
    <MultiCombobox
      id={id}
      width="auto"
      minWidth={12}
      maxWidth={40}
      options={list}
      value={v.values}
      createCustomValue
      onChange={(options) => {
        const values = options.map((o) => o.value);
        const whole = values.includes(ALL) && !v.values.includes(ALL);
        const some = values.filter((x) => x !== ALL);
        set(whole || !some.length ? (v.model.includeAll ? [ALL] : v.values) : some);
      }}
    />
  );
}

function TextBox({ id, value, onChange }: { id: string; value: string; onChange: (text: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const commit = () => text !== value && onChange(text);
  return <Input id={id} width={18} value={text} onChange={(e) => setText(e.currentTarget.value)} onBlur={commit} onKeyDown={(e) => e.key === 'Enter' && commit()} />;
}

interface Link {
  title: string;
  url: string;
  tip?: string;
  blank?: boolean;
  links?: Link[]; // of a drop-down
}

// Links of a board to others, with the time range and the variables.
export function Links({ board, boards, context }: { board: Board; boards: BoardInfo[]; context: Context }) {
  const query = (time?: boolean, vars?: boolean) => [time ? timeParams(context.range) : '', vars ? variableParams(context.vars) : ''].filter(Boolean).join('&');
  const all = (board.links ?? []).flatMap((l): Link[] => {
    const params = query(l.keepTime, l.includeVars);
    if (l.type === 'link') {
      const url = expand(l.url ?? '', context, 'uriencode');
      return [{ title: expand(l.title, context, 'text'), url: params ? url + (url.includes('?') ? '&' : '?') + params : url, tip: l.tooltip, blank: l.targetBlank }];
    }
    const found = boards
      .filter((b) => b.uid !== board.uid && (l.tags ?? []).every((t) => b.tags.includes(t)))
      .map((b) => ({ title: b.title, url: `/d/${encodeURIComponent(b.uid)}?${params}`, tip: b.description, blank: l.targetBlank }));
    if (l.asDropdown && found.length === boards.length - 1) {
      return []; // the head's list has them all
    }
    return l.asDropdown && found.length ? [{ title: expand(l.title, context, 'text'), url: '', tip: l.tooltip, links: found }] : found;
  });
  return (
    <nav className="links" aria-label="Other boards">
      {all.map((l, i) =>
        l.links ? (
          <Dropdown key={i} overlay={() => <Menu>{l.links!.map((m) => <Menu.Item key={m.url} label={m.title} url={m.url} target={m.blank ? '_blank' : undefined} />)}</Menu>}>
            <Button variant="secondary" fill="text" size="sm" icon="angle-down" tooltip={l.tip || undefined}>
              {l.title}
            </Button>
          </Dropdown>
        ) : (
          <a key={i} href={l.url} title={l.tip || undefined} target={l.blank ? '_blank' : undefined} rel="noreferrer">
            {l.title}
          </a>
        )
      )}
    </nav>
  );
}
