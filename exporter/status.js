// Shows the status page anew every few seconds, in place: what has the focus,
// what is selected and where the page is scrolled to stay.
'use strict';
const every = 5000;
const live = document.getElementById('live');
const said = document.getElementById('said');

// take makes an element what another one is, and keeps the nodes that there are.
function take(now, next) {
  if (now.isEqualNode(next)) {
    return;
  }
  if (now.nodeName !== next.nodeName) {
    now.replaceWith(next);
  } else if (now.nodeType !== Node.ELEMENT_NODE) {
    now.nodeValue = next.nodeValue;
  } else {
    for (const { name } of [...now.attributes]) {
      if (!next.hasAttribute(name)) {
        now.removeAttribute(name);
      }
    }
    for (const { name, value } of next.attributes) {
      now.setAttribute(name, value);
    }
    const coming = [...next.childNodes];
    coming.forEach((child, i) => (now.childNodes[i] ? take(now.childNodes[i], child) : now.append(child)));
    while (now.childNodes.length > coming.length) {
      now.lastChild.remove();
    }
  }
}

async function again() {
  if (live.checked && !document.hidden) {
    try {
      const answer = await fetch('/', { cache: 'no-store', signal: AbortSignal.timeout(every) });
      if (!answer.ok) {
        throw new Error(answer.statusText);
      }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      take(document.querySelector('main'), page.querySelector('main'));
      said.textContent = '';
    } catch {
      said.textContent ||= `The agent has not answered since ${new Date().toLocaleTimeString()}.`;
    }
  }
  setTimeout(again, every);
}

live.closest('label').hidden = false;
setTimeout(again, every);
