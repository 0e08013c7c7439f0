// Where the panels of a board go: rows, and panels that repeat for the values
// of a variable.
import { ALL, type Variable } from './variables';
import type { Board, Panel, Scoped } from './types';

export interface Placed {
  panel: Panel;
  id: string;
  scoped: Scoped;
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Section {
  key: string;
  row?: Panel; // none for the panels above the first row
  scoped: Scoped;
  panels: Placed[];
}

const columns = 24;

// chosen are the values that a repeat goes over.
function chosen(vars: Variable[], name: string): Scoped[] {
  const v = vars.find((x) => x.model.name === name);
  if (!v) {
    return [{}];
  }
  const values = v.values.length === 1 && v.values[0] === ALL ? v.options.map((o) => o.value) : v.values;
  const all = values.map((value) => ({ [name]: { value, text: v.options.find((o) => o.value === value)?.text ?? value } }));
  return all.length ? all : [{}];
}

// sections of a board: each a row with what is below it.
export function sections(board: Board, vars: Variable[]): Section[] {
  const groups: Array<{ row?: Panel; panels: Panel[] }> = [{ panels: [] }];
  const sorted = [...(board.panels ?? [])].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  for (const p of sorted) {
    if (p.type === 'row') {
      groups.push({ row: p, panels: [...(p.panels ?? [])] });
    } else {
      groups[groups.length - 1].panels.push(p);
    }
  }
  return groups
    .filter((g) => g.row || g.panels.length)
    .flatMap(({ row, panels }) =>
      (row?.repeat ? chosen(vars, row.repeat) : [{}]).map((scoped, i): Section => ({
        key: `${row?.id ?? 'top'}-${i}`,
        row,
        scoped,
        panels: place(panels, vars, scoped, i ? `-row-${i}` : ''),
      }))
    );
}

// place lays out the panels of a section from its top; what a repeat adds
// moves down what is below.
function place(panels: Panel[], vars: Variable[], scoped: Scoped, suffix: string): Placed[] {
  const top = Math.min(...panels.map((p) => p.gridPos.y));
  const out: Placed[] = [];
  let shift = 0;
  let shiftBelow = 0;
  let below = 0;
  for (const panel of [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x)) {
    const { x, w, h } = panel.gridPos;
    let y = panel.gridPos.y - top;
    if (shiftBelow && y >= below) {
      shift += shiftBelow;
      shiftBelow = 0;
    }
    y += shift;
    const copies = panel.repeat && !scoped[panel.repeat] ? chosen(vars, panel.repeat) : [{}];
    const vertical = panel.repeatDirection === 'v';
    const perLine = vertical ? 1 : Math.min(copies.length, panel.maxPerRow || 4);
    const width = copies.length > 1 && !vertical ? Math.floor(columns / perLine) : w;
    copies.forEach((own, i) => {
      out.push({
        panel,
        id: `${panel.id}${suffix}${i ? `-clone-${i}` : ''}`,
        scoped: { ...scoped, ...own },
        x: copies.length > 1 && !vertical ? (i % perLine) * width : x,
        y: y + Math.floor(i / perLine) * h,
        w: width,
        h,
      });
    });
    const extra = (Math.ceil(copies.length / perLine) - 1) * h;
    if (extra > shiftBelow) {
      shiftBelow = extra;
      below = panel.gridPos.y - top + h;
    }
  }
  return out;
}
