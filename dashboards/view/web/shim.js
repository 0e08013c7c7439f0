// Where Grafana's icons are asked for, and what some packages expect of Node.
window.__grafana_public_path__ = '/';
export const process = { env: { NODE_ENV: 'production' }, browser: true, platform: 'browser', cwd: () => '/' };
