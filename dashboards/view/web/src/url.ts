// The page's state is its URL: the board, the time range, the variables.
import { useSyncExternalStore } from 'react';

const listeners = new Set<() => void>();
const changed = () => listeners.forEach((f) => f());
window.addEventListener('popstate', changed);

export function useURL(): URL {
  const href = useSyncExternalStore(
    (f) => {
      listeners.add(f);
      return () => listeners.delete(f);
    },
    () => window.location.href
  );
  return new URL(href);
}

export function navigate(to: string | URL, replace = false) {
  const url = new URL(to, window.location.href);
  if (url.href === window.location.href) {
    return;
  }
  const moved = url.pathname !== window.location.pathname;
  window.history[replace ? 'replaceState' : 'pushState'](null, '', url);
  changed();
  if (moved) {
    window.scrollTo(0, 0);
  }
}

// setParams sets parameters of the current URL; undefined removes one.
export function setParams(params: Record<string, string | string[] | undefined>, replace = false) {
  const url = new URL(window.location.href);
  for (const [name, value] of Object.entries(params)) {
    url.searchParams.delete(name);
    for (const v of value === undefined ? [] : Array.isArray(value) ? value : [value]) {
      url.searchParams.append(name, v);
    }
  }
  navigate(url, replace);
}

// Links within the viewer do not load the page again.
export function followLinks() {
  document.addEventListener('click', (e) => {
    const a = (e.target as Element | null)?.closest?.('a');
    if (!a || !a.getAttribute('href') || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || (a.target && a.target !== '_self')) {
      return;
    }
    const url = new URL(a.href);
    if (url.origin === window.location.origin && (url.pathname === '/' || url.pathname === '/explore' || url.pathname.startsWith('/d/'))) {
      e.preventDefault();
      navigate(url);
    }
  });
}
