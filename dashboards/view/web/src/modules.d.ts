declare module 'icons' {
  const icons: Record<string, string>; // path below Grafana's icons → SVG
  export default icons;
}
declare module '*.css';
