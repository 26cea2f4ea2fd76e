// What pages with a sidebar share: rows that j and k go through, g and a letter, the search field, the list of keys.
'use strict';
(() => {
  const { hub } = window, { $, $$, make } = hub;
  let rows = $$('[data-row]').findIndex((row) => row.getAttribute('aria-current') === 'true'), going = 0;
  function move(step) {
    const all = $$('[data-row]');
    if (!all.length) return false;
    rows = Math.max(0, Math.min(all.length - 1, rows + step));
    all.forEach((row, place) => place === rows ? row.setAttribute('aria-current', 'true') : row.removeAttribute('aria-current'));
    all[rows].scrollIntoView({ block: 'nearest' });
    return true;
  }

  const search = () => $('[data-search], input[type=search]');

  /** Enter opens the current row. */
  hub.chosen = (key) => {
    const row = key === 'enter' && $('[data-row][aria-current=true]');
    return row && ($('[data-enter]', row) ?? $(':is(a[href], button)', row));
  };

  /** Keys that lead somewhere; true if the key was one. */
  hub.lead = (key) => {
    if (performance.now() < going) {
      going = 0;
      const link = $(`[data-go="${CSS.escape(key)}"]`);
      if (link) { link.click(); return true; }
    }
    if (key === 'g' && $('[data-go]')) { going = performance.now() + 1500; return true; }
    if (key === 'j' || key === 'k') return move(key === 'j' ? 1 : -1);
    if (key !== '/' || !search()) return false;
    search().focus();
    return true;
  };

  /** The list of keys, drawn from the controls of the page where it does not bring its own. */
  hub.showKeys = () => {
    if (!$('#shortcuts')) draw();
    $('#shortcuts').showModal();
  };

  function draw() {
    const dialog = make('dialog');
    dialog.id = 'shortcuts';
    dialog.setAttribute('aria-label', 'Keyboard shortcuts');
    const head = make('div', 'head'), close = make('button', 'btn quiet', 'Close'), body = make('div', 'body sheet'), list = make('dl');
    close.dataset.close = '';
    head.append(make('h2', '', 'Keyboard shortcuts'), close);
    const add = (what, ...keys) => {
      const line = make('div'), caps = make('dd');
      caps.append(...keys.map((key) => make('kbd', '', key)));
      line.append(make('dt', '', what), caps);
      list.append(line);
    };
    for (const link of $$('[data-go]')) add(link.textContent.trim(), 'G', link.dataset.go.toUpperCase());
    if ($('[data-row]')) { add('Next, previous row', 'J', 'K'); add('Open the row', '↵'); }
    if ($('[data-row] [name=pk]')) { add('Select the row', 'X'); add('Select up to this row', 'Shift', 'X'); }
    if ($('[data-search], input[type=search]')) add('Search on this page', '/');
    add('Light or dark', 'Shift', 'D');
    add('This list', '?');
    body.append(list);
    dialog.append(head, body);
    document.body.append(dialog);
  }

  for (const failure of ['htmx:sendError', 'htmx:responseError', 'htmx:timeout']) {
    document.addEventListener(failure, (event) => {
      const reading = event.detail.requestConfig?.verb === 'get';
      hub.toast(reading ? 'This could not be refreshed.' : 'Not saved. Check the connection, then try again.', { failed: !reading });
    });
  }
})();
