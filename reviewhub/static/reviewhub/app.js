// What every page shares: keys that sit on controls, theme, toasts, links that leave.
//
// A control names its keys itself: data-key="p", "shift+1", "ctrl+enter enter". The server renders them, so the
// keymap lives in the templates and a test can read it. Letters and signs go by event.key, the number row by
// event.code, so that digits work on AZERTY without Shift.
'use strict';
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  const TEXT = 'textarea, select, input:not([type=radio], [type=checkbox], [type=button], [type=submit]), [contenteditable]';
  const NATIVE = 'a[href], button, summary, input, select, [role=button]';
  const ROW = { Minus: '-', Equal: '=' };
  const make = (tag, className = '', text = '') => Object.assign(document.createElement(tag), { className, textContent: text });

  /** The signed token of this session, read anew each time: signing in from another tab changes it. */
  const csrf = () => /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? $('[name=csrfmiddlewaretoken]')?.value ?? '';

  /** Shows a line for eight seconds, with one action where given. A failure stays until it is closed. */
  function toast(text, { label, key, action, failed = false } = {}) {
    const box = make('div', 'toast');
    if (failed) box.setAttribute('role', 'alert');
    box.append(make('span', '', text));
    const button = make('button', 'btn quiet sm', label ?? 'Close');
    button.type = 'button';
    if (key) button.append(make('kbd', '', key));
    button.addEventListener('click', () => { box.remove(); action?.(); });
    if (label || failed) box.append(button);
    $('#toast').replaceChildren(box);
    if (!failed) setTimeout(() => box.remove(), 8000);
    return box;
  }

  /** Does what a click or a choice by mouse would do, and says so to listeners. */
  function act(control) {
    if (control.matches('input[type=radio]')) {
      control.checked = true;
      control.dispatchEvent(new Event('change', { bubbles: true }));
    } else if (control.matches(TEXT)) {
      control.focus();
      control.scrollIntoView({ block: 'nearest' });
    } else control.click();
  }

  /** "shift+1", "ctrl+enter", "p": how data-key spells what was pressed. */
  function spell(event) {
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1] ?? ROW[event.code];
    const key = digit ?? (event.key === ' ' ? 'space' : event.key.toLowerCase());
    const shift = event.shiftKey && (digit || key.length > 1 || /[a-z]/.test(key)) ? 'shift+' : '';
    return (event.ctrlKey || event.metaKey ? 'ctrl+' : '') + shift + key;
  }

  const owner = (keys, scope) => keys.flatMap((key) => $$('[data-key]', scope)
    .filter((one) => one.dataset.key.split(' ').includes(key) && !one.disabled && one.checkVisibility()))[0];

  function flipTheme() {
    const dark = (root.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
    root.dataset.theme = dark ? 'light' : 'dark';
    const body = new URLSearchParams({ theme: root.dataset.theme });
    fetch('/account/theme/', { method: 'POST', body, headers: { 'X-CSRFToken': csrf() } }).catch(() => {});
  }

  /** Fetches a script that few pages need, once; a failed fetch may be tried again. */
  const loading = {};
  const load = (src) => loading[src] ??= new Promise((done, failed) => {
    const code = make('script');
    document.head.append(Object.assign(code, { src, onload: done, onerror: () => { delete loading[src]; failed(); } }));
  });


  // What keys mean to this person where they have changed it: { pressed: meant }, "" for a key without a meaning.
  const meant = JSON.parse(document.body.dataset.keys || '{}');

  const hub = { $, $$, make, toast, act, csrf, spell, load, meant, TEXT, NATIVE, keys: {}, guard: 0, showKeys: () => $('#shortcuts').showModal() };
  window.hub = hub;

  document.addEventListener('keydown', (event) => {
    if (event.isComposing || event.defaultPrevented || $('dialog[open]')) return;
    const typing = event.target.matches(TEXT), key = spell(event);
    if (typing && key === 'escape') return event.target.blur();
    const chord = event.ctrlKey || event.metaKey;
    if (event.altKey || (typing && !chord)) return;
    if (!chord && key !== 'escape' && document.body.dataset.singleKeys === 'off') return;
    const menu = $('[popover]:popover-open');
    if (menu && key === 'escape') return;
    if ((key === 'enter' || key === 'space') && event.target.matches(NATIVE)) return;
    const handled = press(event, key, menu);
    if (handled) event.preventDefault();
  });

  /** Open at once, so that what is typed goes there; what it finds is loaded when it is first asked for. */
  function palette() {
    const dialog = $('#palette');
    if (dialog.open) return;
    $('input', dialog).value = '';
    $('ul', dialog).replaceChildren();
    dialog.showModal();
    load(dialog.dataset.code).then(() => hub.palette(), () => toast('This could not be loaded. Check the connection, then try again.'));
  }

  function press(event, key, menu) {
    if (key === 'ctrl+k') { palette(); return true; }
    if (!menu && hub.mode?.(key)) return true;
    if (!menu) key = meant[key] ?? key;
    const control = !menu && hub.chosen?.(key) || owner([key], menu ?? document);
    if (control) {
      if (event.repeat) return true;
      if (performance.now() < hub.guard && control.closest('#review')) return true; // meant for the item before
      act(control);
      hub.keys.pressed?.(control, key);
      return true;
    }
    if (menu) return false;
    if (hub.keys[key]) return hub.keys[key](event) !== false;
    if (key === 'shift+d') { flipTheme(); return true; }
    if (event.key === '?') { hub.showKeys(); return true; }
    return Boolean(hub.lead?.(key));
  }

  document.addEventListener('click', (event) => {
    const opener = event.target.closest('[data-open]');
    if (opener) $(`#${CSS.escape(opener.dataset.open)}`)?.showModal();
    if (event.target.closest('[data-close]')) event.target.closest('dialog').close();
    // Links in texts from outside: say where they lead, and keep this page with what is written on it.
    const link = event.target.closest('a[rel~=ugc]');
    if (link) {
      event.preventDefault();
      if (confirm(`This link was written by a user or a model. Open ${link.host || link.href} in a new tab?`)) window.open(link.href, '_blank', 'noopener,noreferrer');
    }
  });

  document.addEventListener('htmx:configRequest', (event) => { event.detail.headers['X-CSRFToken'] = csrf(); });
})();
