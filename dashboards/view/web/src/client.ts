// Requests to the viewer's server, which passes queries on.

export async function get(path: string, signal?: AbortSignal): Promise<any> {
  const response = await fetch(path, { signal });
  if (!response.ok) {
    throw new Error(`${response.status}: ${(await response.text()).slice(0, 500)}`);
  }
  return response.json();
}

// ask gives the data of an answer of Prometheus's or Loki's API. It fails with
// the store's own words.
export async function ask(store: 'prometheus' | 'loki', path: string, params: URLSearchParams, signal?: AbortSignal, method: 'GET' | 'POST' = 'GET'): Promise<any> {
  const headers: Record<string, string> = store === 'loki' ? { 'X-Loki-Response-Encoding-Flags': 'categorize-labels' } : {};
  const url = `/proxy/${store}${path}`;
  const response =
    method === 'GET'
      ? await fetch(`${url}?${params}`, { signal, headers })
      : await fetch(url, { signal, method, body: params, headers });
  const text = await response.text();
  let answer: any;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  if (!response.ok || answer?.status === 'error') {
    throw new Error(answer?.error ?? answer?.message ?? (text.trim().slice(0, 1000) || `${store} answered ${response.status}`));
  }
  if (answer === undefined) {
    throw new Error(`${store} gave no JSON`);
  }
  return answer.data;
}
