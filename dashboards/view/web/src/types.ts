// What a dashboard's JSON holds, as far as the viewer reads it.
import type { DataLink, DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export type Reference = { type?: string; uid?: string } | string | null | undefined;

export interface Target {
  refId: string;
  datasource?: Reference;
  expr?: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
  queryType?: string; // Loki's: range, instant
  interval?: string;
  step?: string;
  maxLines?: number;
  hide?: boolean;
}

export interface Panel {
  id: number;
  type: string;
  title?: string;
  description?: string;
  transparent?: boolean;
  gridPos: { x: number; y: number; w: number; h: number };
  collapsed?: boolean;
  panels?: Panel[];
  datasource?: Reference;
  targets?: Target[];
  options?: any;
  fieldConfig?: FieldConfigSource;
  transformations?: DataTransformerConfig[];
  links?: DataLink[];
  interval?: string;
  maxDataPoints?: number;
  timeFrom?: string;
  timeShift?: string;
  hideTimeOverride?: boolean;
  repeat?: string;
  repeatDirection?: 'h' | 'v';
  maxPerRow?: number;
}

export interface VariableModel {
  name: string;
  type: string;
  label?: string | null;
  description?: string | null;
  hide?: number;
  query?: any;
  regex?: string;
  sort?: number;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  datasource?: Reference;
  current?: { text?: string | string[]; value?: string | string[] };
  options?: Array<{ text: string; value: string; selected?: boolean }>;
  auto?: boolean;
  auto_count?: number;
  auto_min?: string;
}

export interface DashboardLink {
  title: string;
  type: 'dashboards' | 'link';
  tags?: string[];
  url?: string;
  tooltip?: string;
  asDropdown?: boolean;
  includeVars?: boolean;
  keepTime?: boolean;
  targetBlank?: boolean;
}

export interface AnnotationQuery {
  name: string;
  enable?: boolean;
  hide?: boolean;
  iconColor?: string;
  builtIn?: number;
  datasource?: Reference;
  expr?: string;
  step?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  useValueForTime?: boolean;
}

export interface Board {
  uid: string;
  title: string;
  description?: string;
  tags?: string[];
  refresh?: string | false;
  timezone?: string;
  graphTooltip?: number;
  fiscalYearStartMonth?: number;
  time?: { from: string; to: string };
  links?: DashboardLink[];
  annotations?: { list?: AnnotationQuery[] };
  templating?: { list?: VariableModel[] };
  panels?: Panel[];
}

// BoardInfo is an entry of the list of boards.
export interface BoardInfo {
  uid: string;
  title: string;
  description: string;
  tags: string[];
}

// Note is what the server has to say about the data, and what happened.
export interface Note {
  text: string; // Markdown
  events: Array<{ title: string; text: string; from: number; to: number }>; // in ms
}

// Config is what the server tells about itself.
export interface Config {
  version: string;
  prometheus: boolean;
  loki: boolean;
  scrapeInterval: number; // in ms
  note: boolean; // whether there is a note
}

// Scoped are variables of one panel: of a repeat, or of a value that is linked.
export type Scoped = Record<string, { text: string; value: any } | any>;
