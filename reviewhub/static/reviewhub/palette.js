// Ctrl K: every page, every queue, what can be done on this screen, and interactions by id. Loaded when first asked for.
'use strict';
(() => {
  const { hub } = window, { $, $$, make } = hub;
  const words = (node) => (node.getAttribute('aria-label') || [...node.childNodes].filter((one) => !one.matches?.('.kbds, kbd, .count')).map((one) => one.textContent).join(' ')).replace(/\s+/g, ' ').trim();
  const pressed = (key) => Object.keys(hub.meant).find((one) => hub.meant[one] === key) ?? (hub.meant[key] === '' ? '' : key);
  const base = /^\/p\/[^/]+\//.exec(location.pathname)?.[0];
  const dialog = $('#palette'), input = $('input', dialog), list = $('ul', dialog);
  let pages = [], search = null, entries = [], at = 0;

  const links = (root, selector, kind) => $$(selector, root).map((link) => ({ kind, text: words(link), go: () => location.assign(link.getAttribute('href')) }));

  /** Pages and queues: those of this page, or, where it has none, of the list of queues. */
  async function places() {
    let root = document;
    if (base && !($('.side nav') && $('.queues'))) {
      try {
        const answer = await fetch(`${base}queues/`);
        if (answer.ok && !answer.redirected) root = new DOMParser().parseFromString(await answer.text(), 'text/html');
      } catch { /* offline: what this page knows must do */ }
    }
    pages = [...links(root, '.side nav a', 'Page'), ...links(root, '.queues th a', 'Queue')];
    const find = $('.side nav a[data-go=i]', root)?.getAttribute('href');
    search = find && ((text) => ({ kind: 'Interaction', text, go: () => location.assign(`${find}?q=${encodeURIComponent(text)}`) }));
  }

  function actions() {
    return $$('[data-key]').filter((one) => one.checkVisibility() && !one.closest('dialog')).map((one) => {
      const label = one.matches('input') ? one.closest('label') : one.matches('textarea') ? $(`label[for="${one.id}"]`) : null;
      return { kind: 'Here', text: words(label ?? one), key: pressed(one.dataset.key.split(' ')[0]), go: () => hub.act(one) };
    }).filter(({ text }) => text);
  }

  function draw() {
    const said = input.value.trim(), parts = said.toLowerCase().split(/\s+/);
    entries = [...here, ...pages].filter(({ text }) => parts.every((part) => text.toLowerCase().includes(part))).slice(0, 12);
    if (said && search) entries.push(search(said));
    at = Math.min(at, Math.max(0, entries.length - 1));
    list.replaceChildren(...entries.map(({ kind, text, key }, n) => {
      const line = make('li');
      line.id = `palette-${n}`;
      line.setAttribute('role', 'option');
      line.setAttribute('aria-selected', n === at);
      line.append(make('span', 'subtle', kind), make('b', '', text));
      if (key) line.append(make('kbd', '', key));
      return line;
    }));
    input.setAttribute('aria-activedescendant', entries.length ? `palette-${at}` : '');
    list.children[at]?.scrollIntoView({ block: 'nearest' });
  }

  function choose(n) { const entry = entries[n]; dialog.close(); entry?.go(); }
  input.addEventListener('input', () => { at = 0; draw(); });
  input.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); at = (at + step + entries.length) % Math.max(1, entries.length); draw(); }
    if (event.key === 'Enter') { event.preventDefault(); choose(at); }
  });
  list.addEventListener('click', (event) => { const line = event.target.closest('li'); if (line) choose([...list.children].indexOf(line)); });

  let here = [];
  hub.palette = () => {
    here = actions();
    at = 0;
    draw();
    places().then(draw);
  };
})();
