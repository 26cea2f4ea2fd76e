// The review screen: keys that need more than a click, drafts, the lease, and saving without leaving the page.
//
// It posts the form itself, and not by htmx attributes, because it must tell apart what can go wrong (offline, the
// server, an expired sign-in, a lost reservation), keep every word in each case, and send the same submission again.
// Without it the page is a plain form.
'use strict';
(() => {
  const { $, $$, hub } = { ...window.hub, hub: window.hub };
  const KEPT = 'reviewhub:draft:', WEEK = 7 * 864e5;
  let item; // what belongs to the item on the screen

  // ── what stands in the form ────────────────────────────────────────────────
  const form = () => $('#labels');
  const field = (name) => $(`[name="${name}"]:checked`, form())?.value ?? '';
  const order = () => form().elements.order.value.split(',').filter(Boolean);

  function data(extra = {}) {
    const body = new FormData(form());
    body.set('csrfmiddlewaretoken', hub.csrf());
    body.set('seconds', Math.round(item.seconds));
    for (const [name, value] of Object.entries(extra)) body.set(name, value);
    return body;
  }

  const words = () => ({
    verdict: field('verdict'), severity: field('severity'), order: order(), golden: form().elements.golden.checked,
    desired: $('#desired').value, note: $('#note').value,
  });

  function fill(kept) {
    for (const name of ['verdict', 'severity']) $$(`[name=${name}]`, form()).forEach((radio) => { radio.checked = radio.value === kept[name]; });
    $$('[name=categories]', form()).forEach((box) => { box.checked = kept.order.includes(box.value); });
    form().elements.order.value = kept.order.join(',');
    form().elements.golden.checked = kept.golden;
    $('#desired').value = kept.desired;
    $('#note').value = kept.note;
    showMain();
    showDiff();
  }

  // ── copies on this device, until the server has them ───────────────────────
  function keep(token = item.token) {
    try { localStorage.setItem(KEPT + token, JSON.stringify({ at: Date.now(), words: words() })); } catch { /* storage may be full or off */ }
  }
  const forget = (token) => { try { localStorage.removeItem(KEPT + token); } catch { /* as above */ } };
  function kept(token) {
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(KEPT) && !(JSON.parse(localStorage[key]).at > Date.now() - WEEK)) localStorage.removeItem(key);
      return JSON.parse(localStorage.getItem(KEPT + token))?.words;
    } catch { return undefined; }
  }

  // ── talking to the server ──────────────────────────────────────────────────
  /** Posts and says how it went: ok, invalid, lost, signed-out, offline or server. */
  async function send(url, body) {
    let response;
    try {
      response = await fetch(url, { method: 'POST', body, redirect: 'manual', headers: { 'HX-Request': 'true', 'X-CSRFToken': hub.csrf() } });
    } catch { return { kind: 'offline' }; }
    if (response.type === 'opaqueredirect' || response.status === 401 || response.status === 403) return { kind: 'signed-out' };
    const kind = response.ok ? 'ok' : { 409: 'lost', 422: 'invalid' }[response.status] ?? (response.status < 500 && response.status !== 429 ? 'refused' : 'server');
    try { return { kind, response, text: await response.text() }; } catch { return { kind: 'offline' }; }
  }

  const NOTICES = {
    offline: ['No connection', 'Nothing is lost: what you wrote is kept on this device. Trying again.'],
    server: ['The server could not save this', 'Nothing is lost: what you wrote is kept on this device. Trying again.'],
    'signed-out': ['Your sign-in has expired', 'Nothing is lost: what you wrote stays on this page. Sign in in another tab, come back and save.'],
    lost: ['Your reservation has ended', 'What you wrote is kept here. Take the item back if it is still free; if you save without it, your label is kept but does not count.'],
    gone: ['Somebody else has this item now', 'What you wrote is kept here. If you save, your label is kept but does not count.'],
    used: ['Not saved', ''],
    refused: ['This item is no longer yours to label', 'What you wrote is kept on this device.'],
  };

  function notice(kind, action, said) {
    if (item.notice === kind) return;
    item.notice = kind;
    const [title, text] = NOTICES[kind];
    const box = document.createElement('div'), head = document.createElement('h2'), line = document.createElement('p'), end = document.createElement('div');
    box.className = `callout ${kind === 'lost' || kind === 'gone' ? 'warn' : 'fail'}`;
    box.setAttribute('role', 'alert');
    head.textContent = title;
    line.textContent = said ?? text;
    end.className = 'end';
    box.append(head, line, end);
    if (action) {
      const button = document.createElement(action.href ? 'a' : 'button');
      button.className = 'btn';
      button.textContent = action.label;
      if (action.href) Object.assign(button, { href: action.href, target: '_blank', rel: 'noopener' });
      else { button.type = 'button'; button.addEventListener('click', action.run); }
      end.append(button);
    }
    $('#notice').replaceChildren(box);
  }
  function calm() { item.notice = null; $('#notice').replaceChildren(); }
  const trouble = (kind) => notice(kind, {
    lost: { label: 'Take it back', run: takeBack },
    'signed-out': { label: 'Sign in', href: form().dataset.signIn },
  }[kind]);

  const status = (text) => { $('#saved').textContent = text; };

  // ── drafts ─────────────────────────────────────────────────────────────────
  function changed() {
    item.dirty = true;
    keep();
    clearTimeout(item.timer);
    item.timer = setTimeout(saveDraft, 800);
  }

  async function saveDraft() {
    const mine = item;
    if (!mine.dirty || mine.busy) return;
    mine.dirty = false;
    const { kind, text } = await send(form().dataset.draft, data());
    if (item !== mine || mine.busy) return;
    if (kind === 'ok') {
      if (!mine.dirty) forget(mine.token);
      extend(JSON.parse(text).seconds);
      calm();
      status(`Draft ${new Date().toTimeString().slice(0, 5)}`);
    } else {
      status('On this device');
      trouble(kind);
      if (kind === 'offline' || kind === 'server') { mine.dirty = true; mine.timer = setTimeout(saveDraft, 5000); }
    }
  }

  addEventListener('pagehide', () => { if (item?.dirty && !item.leaving) navigator.sendBeacon(form().dataset.draft, data()); });
  addEventListener('online', () => { if (item?.dirty) saveDraft(); });

  // ── the lease ──────────────────────────────────────────────────────────────
  function extend(seconds) { item.until = Date.now() + seconds * 1000; item.asked = Date.now(); tick(); }

  function tick() {
    const left = Math.max(0, Math.round((item.until - Date.now()) / 1000));
    for (const time of $$('[data-lease]')) {
      time.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
      time.closest('.lease').classList.toggle('is-low', left < 120);
    }
    for (const mark of [120, 30]) if (left <= mark && left > 0 && item.told > mark) { item.told = mark; say(`Reserved for you for ${mark === 120 ? 'two more minutes' : 'thirty more seconds'}.`); }
  }

  async function beat() {
    const mine = item;
    if (!document.hidden && Date.now() - mine.active < 60000) mine.seconds += 1;
    tick();
    if (mine.active > mine.asked && Date.now() - mine.asked > 60000 && !mine.busy) {
      mine.asked = Date.now();
      const { kind, text } = await send(form().dataset.heartbeat, new FormData());
      if (item !== mine) return;
      if (kind === 'ok') extend(JSON.parse(text).seconds);
      else if (kind === 'lost') trouble('lost');
    }
  }
  setInterval(() => { if (item) beat(); }, 1000);
  for (const name of ['keydown', 'pointerdown', 'wheel', 'touchmove']) addEventListener(name, () => { if (item) item.active = Date.now(); }, { passive: true, capture: true });

  async function takeBack() {
    const { kind, text } = await send(form().dataset.takeBack, new FormData());
    if (kind === 'ok') {
      const token = /data-token="([^"]+)"/.exec(text)[1];
      keep(token);
      forget(item.token);
      swap(text);
      changed();
    } else if (kind === 'lost') notice('gone');
    else trouble(kind);
  }

  // ── saving and going on ────────────────────────────────────────────────────
  /** Sends the form to one of its addresses until it arrives. The same submission may arrive twice; it counts once. */
  async function post(url, body, tries = 0) {
    const mine = item;
    const { kind, response, text } = await send(url, body);
    if (item !== mine) return;
    if (kind === 'offline' || kind === 'server') {
      notice(kind, { label: 'Try now', run: () => { clearTimeout(mine.timer); post(url, body, tries + 1); } });
      mine.timer = setTimeout(() => post(url, body, tries + 1), Math.min(30, 2 ** (tries + 1)) * 1000);
      return;
    }
    busy(false);
    const next = response?.headers.get('HX-Redirect');
    if (kind === 'ok') {
      forget(mine.token);
      if (next) { mine.leaving = true; location.assign(next); } else swap(text);
    } else if (kind === 'invalid') {
      swap(text);
      const fault = $('.err', form());
      ($(`[name="${fault?.id.replace('-error', '')}"]`, form()) ?? fault?.closest('fieldset')?.querySelector('input'))?.focus();
    } else if (kind === 'lost') {
      const { message } = JSON.parse(text);
      if (mine.verb === 'undo') hub.toast(message); else notice('used', null, message);
    } else trouble(kind);
  }

  function busy(on) {
    item.busy = on;
    form().toggleAttribute('aria-busy', on);
    for (const part of $('.scroll', form()).children) part.inert = on && part.id !== 'notice';
    const button = $('footer .primary', form());
    button.classList.toggle('htmx-request', on);
    if (on) clearTimeout(item.timer);
  }

  document.addEventListener('submit', (event) => {
    if (event.target.id !== 'labels') return;
    if (event.submitter && 'leave' in event.submitter.dataset) { item.leaving = true; return; }
    event.preventDefault();
    if (item.busy || performance.now() < hub.guard) return;
    const button = event.submitter, verb = button?.dataset.verb ?? 'label';
    if (verb === 'label' && !field('verdict')) {
      $('[name=verdict]', form()).focus();
      return hub.toast('Choose Pass, Fail or Unsure first.');
    }
    keep();
    item.verb = verb;
    $('#skip').matches(':popover-open') && $('#skip').hidePopover();
    const body = data(button?.name ? { [button.name]: button.value } : {});
    busy(true);
    post(button?.hasAttribute('formaction') ? button.formAction : form().action, body);
  });

  /** Puts the parts of an answer in place of those on the page. */
  function swap(html) {
    for (const part of new DOMParser().parseFromString(html, 'text/html').body.children) {
      if (part.id) $(`#${CSS.escape(part.id)}`)?.replaceWith(document.importNode(part, true));
    }
    hub.guard = performance.now() + 150; // a key meant for the item before must not judge this one
    begin();
    $('#item').focus();
    say($('#review').dataset.says);
  }

  const say = (text) => { $('#announce').textContent = text; };

  function begin() {
    const labels = form();
    item = { token: labels.dataset.token, seconds: 0, active: Date.now(), asked: Date.now(), told: Infinity, until: Date.now() + $('[data-lease]').dataset.lease * 1000, severity: Boolean(field('severity')) };
    document.title = `${$('h1').textContent} · Review Hub`;
    for (const line of $$('#messages .callout')) {
      const text = line.textContent.trim();
      const saved = text.startsWith('Saved');
      hub.toast(text, saved ? { label: 'Undo', key: 'Z', action: () => $('[data-verb=undo]').click() } : {});
      line.remove();
    }
    const left = kept(item.token);
    if (left) { fill(left); item.severity = Boolean(left.severity); status('From this device'); item.dirty = true; item.timer = setTimeout(saveDraft, 800); }
    showDiff();
    tick();
  }

  // ── failure modes, severity, difference ────────────────────────────────────
  function showMain() {
    const main = order()[0];
    for (const box of $$('[name=categories]', form())) box.closest('.cat').classList.toggle('is-first', box.value === main);
    return $(`[name=categories][value="${CSS.escape(main ?? '')}"]`, form());
  }

  function chose(box) {
    const others = order().filter((slug) => slug !== box.value);
    form().elements.order.value = (box.checked ? [...others, box.value] : others).join(',');
    const main = showMain();
    if (box.checked && !field('verdict')) $('[name=verdict][value=fail]', form()).checked = true;
    if (!item.severity) $$('[name=severity]', form()).forEach((radio) => { radio.checked = radio.value === main?.dataset.severity; });
  }

  /** Runs of [sign, words]; equal ends are cut off first, so that long texts with small changes stay cheap. */
  function compare(a, b) {
    let start = 0, end = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
    const A = a.slice(start, a.length - end), B = b.slice(start, b.length - end), out = [];
    const push = (sign, word) => out.at(-1)?.[0] === sign ? out.at(-1)[1].push(word) : out.push([sign, [word]]);
    a.slice(0, start).forEach((word) => push('=', word));
    if (A.length * B.length > 4e6) { A.forEach((word) => push('-', word)); B.forEach((word) => push('+', word)); } else {
      const L = Array.from({ length: A.length + 1 }, () => new Uint16Array(B.length + 1));
      for (let i = A.length - 1; i >= 0; i--) for (let j = B.length - 1; j >= 0; j--) L[i][j] = A[i] === B[j] ? L[i + 1][j + 1] + 1 : Math.max(L[i + 1][j], L[i][j + 1]);
      for (let i = 0, j = 0; i < A.length || j < B.length;) {
        if (i < A.length && j < B.length && A[i] === B[j]) { push('=', A[i++]); j++; } else if (i < A.length && (j === B.length || L[i + 1][j] >= L[i][j + 1])) push('-', A[i++]);
        else push('+', B[j++]);
      }
    }
    a.slice(a.length - end).forEach((word) => push('=', word));
    return out;
  }

  function showDiff() {
    const split = (text) => text.split(/\s+/).filter(Boolean);
    const runs = compare(split($('#original').value), split($('#desired').value)), tidy = [];
    let gone = [], come = [], minus = 0, plus = 0;
    const flush = () => { if (gone.length) tidy.push(['del', gone]); if (come.length) tidy.push(['ins', come]); minus += gone.length; plus += come.length; gone = []; come = []; };
    runs.forEach(([sign, run], place) => {
      if (sign === '-') gone.push(...run); else if (sign === '+') come.push(...run);
      else if (run.length < 3 && place > 0 && place < runs.length - 1) { gone.push(...run); come.push(...run); } else { flush(); tidy.push(['span', run]); }
    });
    flush();
    const box = $('#diff');
    box.replaceChildren(...tidy.flatMap(([tag, run]) => {
      const part = document.createElement(tag);
      part.textContent = (tag === 'span' && run.length > 10 ? [...run.slice(0, 2), '…', ...run.slice(-3)] : run).join(' ');
      return [part, ' '];
    }));
    box.hidden = !(minus + plus);
    $('#diff-count').textContent = minus + plus ? `${minus} words removed, ${plus} added` : 'Same as the model’s answer';
  }

  document.addEventListener('input', (event) => {
    if (!event.target.closest('#labels')) return;
    if (event.target.id === 'desired') { cancelAnimationFrame(item.frame); item.frame = requestAnimationFrame(showDiff); }
    if (!event.target.matches('[type=checkbox], [type=radio]')) changed();
  });
  document.addEventListener('change', (event) => {
    const { target } = event;
    if (!target.closest('#labels')) return;
    if (target.name === 'categories') chose(target);
    if (target.name === 'severity') item.severity = true;
    if (target.name === 'verdict' && target.value === 'fail' && $('#review').dataset.pane !== 'label' && !$('.cats').checkVisibility()) pane('#labels');
    changed();
  });

  // ── keys and panes ─────────────────────────────────────────────────────────
  hub.keys.pressed = (control, key) => { if (key === 'p' && control.name === 'verdict') form().requestSubmit($('footer .primary', form())); };
  hub.keys.s = () => {
    const all = $$('[name=severity]', form()), now = all.findIndex((radio) => radio.checked);
    hub.act(all[(now + 1) % all.length]);
  };
  const scroll = (share) => $('#item').scrollBy({ top: share * $('#item').clientHeight });
  hub.keys.space = () => scroll(0.85);
  hub.keys['shift+space'] = () => scroll(-0.85);

  function pane(hash) {
    const review = $('#review');
    if (hash === '#labels') review.dataset.pane = 'label'; else delete review.dataset.pane;
    for (const link of $$('.pane-switch a')) link.hash === hash ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current');
  }
  document.addEventListener('click', (event) => {
    const link = event.target.closest('.pane-switch a');
    if (link) { event.preventDefault(); pane(link.hash); }
    if (event.target.closest('[data-sources]')) {
      const all = $$('.docs details'), open = !all.every((one) => one.open);
      for (const one of all) one.open = open;
    }
    if (event.detail) event.target.closest('summary')?.blur(); // opened by mouse: Enter and Space mean the item again
    const trace = event.target.closest('.meta a');
    if (trace && item) { event.preventDefault(); window.open(trace.href, '_blank', 'noopener'); }
  });

  if (form()) {
    begin();
    // Keys pressed while this file was still on its way have been acted upon already: they count.
    const early = $$('[type=radio], [type=checkbox]', form()).filter((box) => box.checked !== box.defaultChecked);
    for (const box of early) box.dispatchEvent(new Event('change', { bubbles: true }));
    if (document.activeElement === document.body) $('#item').focus();
  }
})();
