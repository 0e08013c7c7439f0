// Field configuration and transformations: which options there are.
import {
  Registry,
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  type ThresholdsConfig,
} from '@grafana/data';

const item = (id: string, path: string, process: any, isCustom = false) =>
  ({ id, path, name: id, isCustom, process, override: () => null, editor: () => null, shouldApply: () => true, settings: {} }) as unknown as FieldConfigPropertyItem;

// In JSON the first step of thresholds begins at null, in memory below all.
const thresholds = (value: ThresholdsConfig | undefined) =>
  value && { ...value, steps: (value.steps ?? []).map((s, i) => ({ ...s, value: i === 0 || s.value === null ? -Infinity : s.value })) };

const standard = [
  item('displayName', 'displayName', displayNameOverrideProcessor),
  item('thresholds', 'thresholds', thresholds),
  ...['unit', 'decimals', 'min', 'max', 'color', 'mappings', 'links', 'noValue', 'fieldMinMax', 'description', 'filterable'].map((id) => item(id, id, identityOverrideProcessor)),
];

// registry of the standard options and of those of a kind of panel that the
// configuration names; an option that is not there would be passed over.
export function registry(source: FieldConfigSource): Registry<FieldConfigPropertyItem> {
  const custom = new Set(Object.keys(source.defaults.custom ?? {}));
  for (const o of source.overrides) {
    for (const p of o.properties) {
      if (p.id.startsWith('custom.')) {
        custom.add(p.id.slice('custom.'.length));
      }
    }
  }
  return new Registry<FieldConfigPropertyItem>(() => [...standard, ...[...custom].map((path) => item('custom.' + path, path, identityOverrideProcessor, true))]);
}

// complete adds what Grafana takes where the JSON has nothing.
export function complete(source: FieldConfigSource | undefined): FieldConfigSource {
  return {
    defaults: {
      color: { mode: 'palette-classic' as any },
      thresholds: { mode: 'absolute' as any, steps: [{ color: 'green', value: null as any }, { color: 'red', value: 80 }] },
      ...source?.defaults,
    },
    overrides: (source?.overrides ?? []).map((o) => ({ ...o, properties: o.properties ?? [] })),
  };
}

export function registerTransformers() {
  standardTransformersRegistry.setInit(() => {
    const seen = new Set<string>();
    return Object.values(standardTransformers).flatMap((t: any) => {
      if (seen.has(t.id)) {
        return [];
      }
      seen.add(t.id);
      return [{ id: t.id, name: t.name, description: t.description, aliasIds: t.aliasIds, transformation: () => Promise.resolve(t), editor: () => null, imageDark: '', imageLight: '' } as any];
    });
  });
}
