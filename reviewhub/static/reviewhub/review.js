// The review screen: keys that need more than a click, drafts, the lease, and saving without leaving the page.
//
// It posts the form itself, and not by htmx attributes, because it must tell apart what can go wrong (offline, the
// server, an expired sign-in, a lost reservation), keep every word in each case, and send the same submission again.
// Without it the page is a plain form.
'use strict';
(() => {
  const { $, $$, hub } = { ...window.hub, hub: window.hub };
  const KEPT = 'reviewhub:draft:', WEEK = 7 * 864e5;
  const { send, then, waiting } = hub.sending, parts = document.currentScript.dataset;
  let item; // what belongs to the item on the screen

  // ── parts of this page that the first paint does not wait for ─────────────
  let whole;
  const rest = () => whole ??= Promise.all([parts.marks, parts.writing, parts.timer, parts.reading].map(hub.load)).catch((fault) => { whole = null; throw fault; });
  for (const key of ['h', 'j', 'k', 'r', 'shift+r', 'space']) {
    const early = hub.keys[key] = (event) => { rest().then(() => hub.keys[key] === early || hub.keys[key](event), () => {}); };
  }
  rest().catch(() => {});

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
    verdict: field('verdict'), severity: field('severity'), order: order(), golden: form().elements.golden.checked, set: form().elements.golden_set?.value,
    desired: $('#desired').value, note: $('#note').value,
    marks: item.left?.marks ?? $$('[name=mark]', form()).map((input) => JSON.parse(input.value)),
    claims: item.left?.claims ?? $$('.claim', form()).map((row) => [$('select', row).value, $('input', row).value]),
  });

  function fill(kept) {
    for (const name of ['verdict', 'severity']) $$(`[name=${name}]`, form()).forEach((radio) => { radio.checked = radio.value === kept[name]; });
    $$('[name=categories]', form()).forEach((box) => { box.checked = kept.order.includes(box.value); });
    form().elements.order.value = kept.order.join(',');
    form().elements.golden.checked = kept.golden;
    if (kept.set) form().elements.golden_set.value = kept.set;
    $('#desired').value = kept.desired;
    $('#note').value = kept.note;
    item.left = kept; // marks and claims wait for the scripts that draw them
    showMain();
    drawn();
  }

  /** Draws the rest of what was kept; what is posted waits for it. */
  async function drawn() {
    const mine = item;
    if (!mine.left) return;
    await rest();
    if (item !== mine || !mine.left) return;
    const { claims = [], marks = [] } = mine.left;
    mine.left = null;
    $('#claims').replaceChildren();
    for (const one of claims) hub.writing.addClaim(...one);
    hub.marks.set(marks, false);
    hub.writing.showDiff();
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

  // ── what goes wrong ────────────────────────────────────────────────────────
  function notice(kind, action, said) {
    if (item.notice === kind) return;
    item.notice = kind;
    hub.sending.tell('#notice', kind, action, said);
  }
  function calm() { item.notice = null; $('#notice').replaceChildren(); }
  const trouble = (kind) => notice(kind, kind === 'lost' && takeBack);

  const status = (text) => { $('#saved').textContent = text; };

  // ── drafts ─────────────────────────────────────────────────────────────────
  function changed() {
    item.dirty = true;
    keep();
    clearTimeout(item.timer);
    item.timer = setTimeout(saveDraft, 800);
  }

  let drafting; // the draft on its way: a label waits for it, so that they arrive in order
  async function saveDraft() {
    const mine = item;
    if (!mine.dirty || mine.busy) return;
    try { await drawn(); } catch { trouble('offline'); mine.timer = setTimeout(saveDraft, 5000); return; }
    if (item !== mine || mine.busy) return;
    mine.dirty = false;
    drafting = send(form().dataset.draft, data());
    const { kind, text } = await drafting;
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
  addEventListener('pagehide', () => drop());
  for (const name of ['online', 'focus']) addEventListener(name, () => { if (item?.dirty) saveDraft(); });

  // ── the lease: review has the time, lease.js shows and extends it ──────────
  function extend(seconds) { item.until = Date.now() + seconds * 1000; item.asked = Date.now(); hub.tick?.(); }

  async function takeBack() {
    const { kind, text } = await send(form().dataset.takeBack);
    if (kind === 'ok') {
      const token = /data-token="([^"]+)"/.exec(text)[1];
      keep(token);
      forget(item.token);
      swap(text);
      changed();
    } else if (kind === 'lost') notice('gone');
    else trouble(kind);
  }

  // ── the next item, ready; what is saved behind it ──────────────────────────
  hub.ready = () => Boolean(ready);
  let ready = null; // { html, token, at, until }: leased ahead, fresh until then

  async function prefetch() {
    const mine = item, url = form().dataset.ahead;
    if (!url || ready || mine.asking || mine.leaving) return;
    mine.asking = send(url);
    const { kind, text } = await mine.asking;
    mine.asking = null;
    if (kind !== 'ok' || !text) return;
    const token = /data-token="([^"]+)"/.exec(text)[1];
    if (item === mine && token !== item.token) ready = { html: text, token, at: Date.now(), until: Date.now() + 700 * /data-lease="(\d+)/.exec(text)[1] };
  }

  function drop() {
    if (!ready) return;
    navigator.sendBeacon(form().dataset.giveBack.replace(form().dataset.token, ready.token), data());
    ready = null;
  }

  /** Leaves with what is in hand and what was leased ahead in one request, so that both go back. */
  function leave(event) {
    const { submitter } = event;
    item.leaving = true;
    if (item.asking) { // else it would be leased after we have gone
      event.preventDefault();
      item.asking.then(() => setTimeout(() => form().requestSubmit(submitter)));
    } else if (ready) {
      form().append(Object.assign(document.createElement('input'), { type: 'hidden', name: 'ahead', value: ready.token }));
      ready = null;
    }
  }

  /** Shows the next item at once and posts the last one behind it. */
  function goOn(body) {
    hub.sending.add({ id: body.get('submission_id'), url: form().action, token: item.token, body: [...body] });
    const { html: next, at } = ready;
    ready = null;
    clearTimeout(item.timer);
    item.leaving = true;
    swap(next);
    hub.sending.flush();
    item.until -= Date.now() - at;
    item.asked = at;
  }

  Object.assign(hub.sending.on, {
    before: () => drafting, // so that they arrive in order
    empty: prefetch,
    /** What came of a label that was saved behind; false where it has come back to the screen. */
    sent(one, { kind, text }) {
      if (kind !== 'refused') forget(one.token);
      if (kind === 'ok') {
        const { said, done_today, waiting: left, like, like_page: href } = JSON.parse(text), toast = saved(said);
        if (like) toast.append(Object.assign(hub.make('a', 'link', `${like} like it: apply to all`), { href, target: '_blank' }));
        $('.tally b').textContent = done_today;
        $('.tally progress').value = done_today;
        $('.tally .hide-m').textContent = `${left} waiting`;
      } else if (kind === 'invalid') {
        keep();
        drop();
        swap(text);
        keep();
        hub.toast('This one could not be saved as it is. Its words are all here.', { failed: true });
      } else hub.toast(kind === 'lost' ? JSON.parse(text).message : $('#trouble-refused').content.textContent, { failed: true });
      return kind !== 'invalid';
    },
  });

  const saved = (text) => hub.toast(text, text.startsWith('Saved') ? { label: 'Undo', key: 'Z', action: () => $('[data-verb=undo]').click() } : {});

  // ── saving and going on ────────────────────────────────────────────────────
  /** Sends the form to one of its addresses until it arrives. The same submission may arrive twice; it counts once. */
  async function post(url, body, tries = 0) {
    const mine = item;
    await drafting;
    const { kind, response, text } = await send(url, body);
    if (item !== mine) return;
    if (kind === 'offline' || kind === 'server') {
      notice(kind, () => { clearTimeout(mine.timer); post(url, body, tries + 1); });
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
    if (event.submitter && 'leave' in event.submitter.dataset) { leave(event); return; }
    event.preventDefault();
    if (item.busy || performance.now() < hub.guard) return;
    const button = event.submitter, verb = button?.dataset.verb ?? 'label';
    if (verb === 'label' && !field('verdict')) {
      $('[name=verdict]', form()).focus();
      return hub.toast('Choose Pass, Fail or Unsure first.');
    }
    if (item.left) { drawn().then(() => form().requestSubmit(button), () => trouble('offline')); return; }
    keep();
    item.verb = verb;
    $('#skip').matches(':popover-open') && $('#skip').hidePopover();
    const body = data(button?.name ? { [button.name]: button.value } : {});
    const fits = field('verdict') !== 'fail' || ((order().length || body.get('note').trim()) && (field('severity') !== '1' || $('[name=mark]', form()) || body.get('note').trim()));
    if (ready?.until < Date.now()) drop(); // somebody else may have it by now
    if (verb === 'label' && ready && fits) { goOn(body); return; }
    busy(true);
    if (verb === 'undo' || verb === 'blind') drop();
    const url = button?.hasAttribute('formaction') ? button.formAction : form().action;
    then(() => post(url, body));
  });

  /** Puts the parts of an answer in place of those on the page. */
  function swap(html) {
    for (const part of new DOMParser().parseFromString(html, 'text/html').body.children) {
      for (const plain of part.querySelectorAll('noscript')) plain.remove(); // the parser takes it for part of the form
      if (part.id) $(`#${CSS.escape(part.id)}`)?.replaceWith(document.importNode(part, true));
    }
    hub.guard = performance.now() + 150; // a key meant for the item before must not judge this one
    begin();
    $('#item').focus();
    say($('#review').dataset.says);
  }

  hub.review = { get item() { return item; }, extend, trouble };
  const say = hub.say = (text) => { $('#announce').textContent = text; };

  function begin() {
    const labels = form();
    item = { token: labels.dataset.token, seconds: 0, active: Date.now(), asked: Date.now(), told: Infinity, until: Date.now() + $('[data-lease]').dataset.lease * 1000, severity: Boolean(field('severity')) };
    document.title = `${$('h1').textContent} · Review Hub`;
    for (const line of $$('#messages .callout')) {
      const text = line.textContent.trim();
      saved(text);
      line.remove();
    }
    hub.marks?.begin();
    const left = kept(item.token);
    if (left) { fill(left); item.severity = Boolean(left.severity); status('From this device'); item.dirty = true; item.timer = setTimeout(saveDraft, 800); }
    hub.tick?.();
    if (ready?.token === item.token) ready = null;
    if (!waiting.length) setTimeout(prefetch, 30);
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

  document.addEventListener('input', (event) => {
    if (!event.target.closest('#labels')) return;
    if (!event.target.matches('[type=checkbox], [type=radio]')) changed();
  });
  document.addEventListener('change', (event) => {
    const { target } = event;
    if (!target.closest('#labels')) return;
    if (target.name === 'categories') chose(target);
    if (target.name === 'severity') item.severity = true;
    changed();
  });

  hub.keys.pressed = (control, key) => { if (key === 'p' && control.name === 'verdict') form().requestSubmit($('footer .primary', form())); };
  hub.keys.s = () => {
    const all = $$('[name=severity]', form()), now = all.findIndex((radio) => radio.checked);
    hub.act(all[(now + 1) % all.length]);
  };
  if (form()) {
    begin();
    hub.sending.begin();
    // Keys pressed while this file was still on its way have been acted upon already: they count.
    const early = $$('[type=radio], [type=checkbox]', form()).filter((box) => box.checked !== box.defaultChecked);
    for (const box of early) box.dispatchEvent(new Event('change', { bubbles: true }));
    if (document.activeElement === document.body) $('#item').focus();
  }
})();
