// The time range of the URL.
import { useEffect, useMemo, useState } from 'react';
import { dateMath, dateTime, isDateTime, rangeUtil, type DateTime, type TimeRange } from '@grafana/data';
import { setParams, useURL } from './url';

function point(text: string, up: boolean, timeZone: string): DateTime {
  if (/^\d+$/.test(text)) {
    return dateTime(Number(text));
  }
  const t = dateMath.toDateTime(text, { roundUp: up, timezone: timeZone });
  return t?.isValid() ? t : dateTime();
}

export function parseRange(from: string, to: string, timeZone: string): TimeRange {
  const raw = (text: string) => (text.startsWith('now') ? text : point(text, false, timeZone));
  return { from: point(from, false, timeZone), to: point(to, true, timeZone), raw: { from: raw(from), to: raw(to) } };
}

// useTime gives the range; tick counts up when it is to be asked again.
export function useTime(defaults: { from: string; to: string; refresh: string; timeZone: string }) {
  const params = useURL().searchParams;
  const from = params.get('from') || defaults.from;
  const to = params.get('to') || defaults.to;
  const refresh = params.get('refresh') ?? defaults.refresh;
  const given = params.get('timezone') || defaults.timeZone;
  const timeZone = given === '' ? 'browser' : given;
  const [tick, setTick] = useState(0);
  // eslint-disable-next-line
  const range = useMemo(() => parseRange(from, to, timeZone), [from, to, timeZone, tick]);
  useEffect(() => {
    let ms = 0;
    try {
      ms = refresh ? rangeUtil.intervalToMs(refresh) : 0;
    } catch {
      ms = 0;
    }
    if (ms < 1000) {
      return;
    }
    const timer = window.setInterval(() => document.hidden || setTick((t) => t + 1), ms);
    return () => window.clearInterval(timer);
  }, [refresh]);
  const set = (r: TimeRange) => {
    const text = (t: string | DateTime) => (isDateTime(t) ? String(t.valueOf()) : t);
    setParams({ from: text(r.raw.from), to: text(r.raw.to) });
  };
  // span is moved by so much of itself, or made longer.
  const shift = (start: number, end: number) => {
    const ms = range.to.valueOf() - range.from.valueOf();
    setParams({ from: String(Math.round(range.from.valueOf() + start * ms)), to: String(Math.round(Math.min(range.to.valueOf() + end * ms, Date.now()))) });
  };
  return { range, refresh, timeZone, tick, again: () => setTick((t) => t + 1), set, shift };
}

export type Time = ReturnType<typeof useTime>;
