import { useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { cacheStore } from 'react-inlinesvg';
import { ThemeContext, createTheme, locationUtil } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import icons from 'icons';
import { App } from './app';
import { get } from './client';
import { registerTransformers } from './fields';
import { followLinks } from './url';
import { stores } from './variables';
import type { BoardInfo, Config } from './types';
import './app.css';

const themeKey = 'corkline.theme';

// wanted is the theme of the URL, else the one chosen before, else the
// system's.
function wanted(): boolean {
  const said = new URLSearchParams(window.location.search).get('theme') ?? window.localStorage.getItem(themeKey);
  return said ? said !== 'light' : !window.matchMedia('(prefers-color-scheme: light)').matches;
}

function Root({ config, boards }: { config: Config; boards: BoardInfo[] }) {
  const [dark, setDark] = useState(wanted);
  const theme = useMemo(() => createTheme({ colors: { mode: dark ? 'dark' : 'light' } }), [dark]);
  useEffect(() => {
    const root = document.documentElement;
    root.dataset.theme = dark ? 'dark' : 'light';
    const { colors, shape } = theme;
    const values = {
      canvas: colors.background.canvas, primary: colors.background.primary, secondary: colors.background.secondary,
      text: colors.text.primary, muted: colors.text.secondary, link: colors.text.link,
      border: colors.border.weak, strong: colors.border.medium, hover: colors.action.hover, focus: colors.primary.border,
      error: colors.error.text, radius: shape.radius.default, shadow: theme.shadows.z2,
      info: colors.info.main, warning: colors.warning.main, critical: colors.error.main, success: colors.success.main,
    };
    for (const [name, value] of Object.entries(values)) {
      root.style.setProperty('--' + name, value);
    }
  }, [theme, dark]);
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <App
        config={config}
        boards={boards}
        dark={dark}
        onTheme={(next) => {
          window.localStorage.setItem(themeKey, next ? 'dark' : 'light');
          setDark(next);
        }}
      />
      <PortalContainer />
    </ThemeContext.Provider>
  );
}

async function main() {
  for (const [path, content] of Object.entries(icons)) {
    cacheStore.set(`/build/img/icons/${path}`, { content, status: 'loaded' });
  }
  registerTransformers();
  locationUtil.initialize({
    config: { appSubUrl: '' } as any,
    getVariablesUrlParams: () => ({}),
    getTimeRangeForUrl: () => {
      const p = new URLSearchParams(window.location.search);
      return { from: p.get('from') ?? 'now-1h', to: p.get('to') ?? 'now' };
    },
  });
  await initPluginTranslations('corkline');
  followLinks();
  const [config, boards]: [Config, BoardInfo[]] = await Promise.all([get('/api/config'), get('/api/dashboards')]);
  if (!config.prometheus) {
    delete stores.prometheus;
  }
  if (!config.loki) {
    delete stores.loki;
  }
  createRoot(document.getElementById('root')!).render(<Root config={config} boards={boards} />);
}

main().catch((e) => {
  const root = document.getElementById('root')!;
  root.textContent = `The viewer did not start: ${e.message ?? e}`;
});
