// What review posts: how it went, in words, and the labels that are saved behind the next item until they arrive.
'use strict';
(() => {
  const { $, hub } = { ...window.hub, hub: window.hub };
  const OUT = 'reviewhub:out:';
  const waiting = [], on = {}; // on: what review does before a label goes, when one is sent back, and when all have gone
  let busy = false, timer, after;

  /** Posts and says how it went: ok, invalid, lost, signed-out, offline, server or refused. */
  async function send(url, body = new FormData()) {
    let response;
    try {
      response = await fetch(url, { method: 'POST', body, redirect: 'manual', headers: { 'HX-Request': 'true', 'X-CSRFToken': hub.csrf() } });
    } catch { return { kind: 'offline' }; }
    if (response.type === 'opaqueredirect' || response.status === 401 || response.status === 403) return { kind: 'signed-out' };
    const kind = response.ok ? 'ok' : { 409: 'lost', 422: 'invalid' }[response.status] ?? (response.status < 500 && response.status !== 429 ? 'refused' : 'server');
    try { return { kind, response, text: await response.text() }; } catch { return { kind: 'offline' }; }
  }

  /** Says what went wrong: a text of the page (annotations/_trouble.html), and the button that deals with it. */
  function tell(place, kind, action, said) {
    const box = $(`#trouble-${kind}`).content.firstElementChild.cloneNode(true), button = $('button', box);
    if (said) $('p', box).textContent = said;
    if (action) button?.addEventListener('click', action); else button?.remove();
    $(place).replaceChildren(box);
  }

  /** A label to be saved: kept on this device until it has arrived. */
  function add(one) {
    try { localStorage.setItem(OUT + one.id, JSON.stringify(one)); } catch { /* storage may be full or off */ }
    waiting.push(one);
  }

  function bodyOf(one) {
    const body = new FormData();
    for (const [name, value] of [...one.body, ['behind', 1]]) body.append(name, value);
    return body;
  }

  async function flush(again = 0) {
    if (busy || !waiting.length) return;
    busy = true;
    clearTimeout(timer);
    const [one] = waiting, body = bodyOf(one);
    body.set('csrfmiddlewaretoken', hub.csrf());
    await on.before();
    const answer = await send(one.url, body), { kind } = answer;
    busy = false;
    if (kind === 'offline' || kind === 'server' || kind === 'signed-out') {
      const n = waiting.length;
      tell('#late', kind, () => flush(), `${n === 1 ? 'Your last label is' : `Your last ${n} labels are`} not saved yet. Nothing is lost: kept on this device. Trying again.`);
      timer = setTimeout(() => flush(again + 1), Math.min(30, 2 ** (again + 1)) * 1000);
      return;
    }
    waiting.shift();
    if (kind !== 'refused') localStorage.removeItem(OUT + one.id);
    $('#late').replaceChildren();
    if (on.sent(one, answer) === false) return;
    if (waiting.length) { flush(); return; }
    const next = after ?? on.empty;
    after = null;
    next();
  }

  /** Does this once everything that waits has arrived; at once where nothing waits. */
  function then(what) { if (waiting.length) after = what; else what(); }

  addEventListener('pagehide', () => { for (const one of waiting) navigator.sendBeacon(one.url, bodyOf(one)); }); // the same submission twice counts once
  for (const name of ['online', 'focus']) addEventListener(name, () => flush());

  hub.sending = {
    send, tell, add, flush, then, on, waiting,
    begin() {
      try {
        for (const key of Object.keys(localStorage)) if (key.startsWith(OUT)) waiting.push(JSON.parse(localStorage[key]));
      } catch { /* storage may be off */ }
      flush();
    },
  };
})();
