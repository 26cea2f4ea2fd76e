/* <review-feedback hub="https://hub.example" key="rh_pk_…" interaction="req-8f2" token="…" user="u-7" for="answer-id">
   Thumbs, comment, correction and report for one answer. No dependency; nothing here may ever throw into its page.
   Served as /widget.js. The answer element named by `for` is watched for copying and editing. The page tells of the
   rest, by a mark on its own controls or by a call (regenerated, rephrased, edited, abandoned, escalated, copied):
   <button data-review-signal="regenerated" data-review-for="answer-id">Try again</button>
   document.querySelector('review-feedback').signal('regenerated') */
(() => {
  'use strict';
  if (!('customElements' in window) || customElements.get('review-feedback')) return;
  const SIGNALS = ['copied', 'regenerated', 'rephrased', 'edited', 'abandoned', 'escalated'];
  const STORE = 'review-feedback.queue', MOST = 200, PATH = '/api/v1/feedback';
  const TEXT = {
    en: { g: 'Rate this answer', up: 'Good answer', down: 'Bad answer', why: 'What was wrong?', fix: 'What should it have said? (optional)', send: 'Send', report: 'Report an issue', close: 'Close', thanks: 'Thank you.', later: 'Saved. It will be sent when you are online.' },
    de: { g: 'Antwort bewerten', up: 'Gute Antwort', down: 'Schlechte Antwort', why: 'Was war falsch?', fix: 'Was hätte da stehen sollen? (freiwillig)', send: 'Senden', report: 'Problem melden', close: 'Schließen', thanks: 'Danke.', later: 'Gemerkt. Wird gesendet, sobald Sie online sind.' },
  };
  const CSS = `:host{display:inline-block;font:14px/1.4 system-ui,sans-serif;color:inherit}
    [hidden]{display:none!important}.r{display:flex;gap:4px;align-items:center}
    button{font:inherit;color:inherit;background:none;border:1px solid transparent;border-radius:6px;min-width:32px;min-height:32px;padding:2px 8px;cursor:pointer}
    button:hover{background:color-mix(in srgb,currentColor 10%,transparent)}
    button:focus-visible,textarea:focus-visible{outline:2px solid Highlight;outline-offset:1px}
    button[aria-pressed=true]{border-color:currentColor;background:color-mix(in srgb,currentColor 12%,transparent)}
    svg{width:18px;height:18px;display:block;fill:none;stroke:currentColor;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}
    form{display:grid;gap:8px;margin-top:8px;max-width:420px}label{display:grid;gap:4px;font-size:13px}
    textarea{font:inherit;color:inherit;background:none;border:1px solid color-mix(in srgb,currentColor 50%,transparent);border-radius:6px;padding:6px 8px;min-height:56px;width:min(400px,80vw);max-width:100%;box-sizing:border-box}
    .s{border-color:currentColor;justify-self:start}p{margin:6px 0 0;font-size:13px;opacity:.8}p:empty{margin:0}`;
  const THUMB = 'M5 7v6.75H2.5V7zM5 7l2.75-4.75c1 0 1.6.7 1.4 1.7L8.75 6.25h3.6a1.25 1.25 0 0 1 1.2 1.55l-1.1 4.7a1.65 1.65 0 0 1-1.6 1.25H5';

  const safe = (work) => function (...args) { try { return work.apply(this, args); } catch { /* never into the page */ } };
  const uuid = () => (crypto.randomUUID ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join(''));
  let memory = null; // the queue, where nothing can be stored: private mode, sandboxed frame, full disk
  const load = () => {
    try {
      const kept = memory || JSON.parse(localStorage.getItem(STORE));
      return Array.isArray(kept) ? kept.filter((entry) => entry?.hub && entry.body?.key) : [];
    } catch { return []; }
  };
  const save = (queue) => {
    const kept = queue.slice(-MOST);
    try { localStorage.setItem(STORE, JSON.stringify(kept)); memory = null; } catch { memory = kept; }
  };
  const put = (entry, ...last) => save([...load().filter((other) => other.body.key !== entry.body.key), ...last]);

  /* One queue for the page. An entry leaves it when the hub has answered 2xx, or 4xx: then it will never be taken; or
     after a week. A token that has expired meanwhile is left out: the vote then counts as not verified. */
  let busy = false, wait = 1000, timer = 0;
  const flush = async () => {
    if (busy) return;
    busy = true;
    let entry;
    try {
      while ((entry = load()[0])) {
        if (Date.now() - Date.parse(entry.body.created_at) > 6048e5) { put(entry); continue; }
        const text = JSON.stringify(entry.body), headers = { 'Content-Type': 'application/json', Authorization: 'Bearer ' + entry.key };
        if (entry.token) headers['X-Interaction-Token'] = entry.token;
        // browsers refuse keepalive beyond 64 KiB
        const answer = await fetch(entry.hub + PATH, { method: 'POST', headers, body: text, mode: 'cors', credentials: 'omit', keepalive: text.length < 2e4, signal: AbortSignal.timeout?.(30000) });
        const status = answer.status;
        if (!(status >= 200 && status < 500) || status === 408 || status === 429) { // also what no fetch would answer
          wait = Math.max(wait, (answer.headers?.get('Retry-After') || 0) * 500);
          throw status;
        }
        if (status === 401 && entry.token) put(entry, { ...entry, token: undefined });
        else put(entry);
        wait = 1000;
      }
    } catch {
      safe(() => {
        if (entry) put(entry, entry); // to the end: one hub that is gone must not hold up another
        clearTimeout(timer);
        timer = setTimeout(flush, wait = Math.min(wait * 2, 300000));
      })();
    } finally { busy = false; }
  };
  /* On leaving, what is still queued goes by beacon; each has its key, so arriving twice counts once. */
  const leave = () => {
    for (const entry of load()) {
      const text = JSON.stringify({ key: entry.key, token: entry.token, feedback: entry.body });
      if (!navigator.sendBeacon(entry.hub + PATH + '/beacon', new Blob([text], { type: 'text/plain' }))) break;
    }
  };
  addEventListener('online', safe(flush));
  addEventListener('pagehide', safe(leave));
  // Phones end a page that is out of sight without a word.
  document.addEventListener('visibilitychange', safe(() => { if (document.visibilityState === 'hidden') leave(); }));

  class ReviewFeedback extends HTMLElement {
    static observedAttributes = ['interaction'];

    connectedCallback() {
      safe(() => {
        if (!this.shadowRoot) this.draw();
        for (const [event, heard] of this.hears) document.addEventListener(event, heard);
      })();
      flush();
    }

    disconnectedCallback() { safe(() => { for (const [event, heard] of this.hears) document.removeEventListener(event, heard); })(); }

    /* A page that shows the next answer with the same element starts anew. */
    attributeChangedCallback(name, before, now) { if (before !== null && before !== now) safe(() => { this.told = new Set(); this.reset?.(); })(); }

    draw() {
      const t = this.t = TEXT[(this.closest('[lang]')?.lang || navigator.language || 'en').slice(0, 2)] || TEXT.en;
      const root = this.attachShadow({ mode: 'open' });
      if ('adoptedStyleSheets' in root) { const sheet = new CSSStyleSheet(); sheet.replaceSync(CSS); root.adoptedStyleSheets = [sheet]; }
      const make = (tag, props = {}, ...children) => { const e = Object.assign(document.createElement(tag), props); e.append(...children); return e; };
      const thumb = (down) => {
        const ns = 'http://www.w3.org/2000/svg', svg = document.createElementNS(ns, 'svg'), path = document.createElementNS(ns, 'path');
        svg.setAttribute('viewBox', '0 0 16 16'); svg.setAttribute('aria-hidden', 'true'); path.setAttribute('d', THUMB);
        if (down) path.setAttribute('transform', 'rotate(180 8 8)');
        svg.append(path);
        return svg;
      };
      const up = make('button', { type: 'button', title: t.up, ariaLabel: t.up, ariaPressed: 'false' }, thumb(false));
      const down = make('button', { type: 'button', title: t.down, ariaLabel: t.down, ariaPressed: 'false' }, thumb(true));
      const report = make('button', { type: 'button', textContent: t.report, ariaExpanded: 'false' });
      const why = make('textarea', { maxLength: 10000 }), fix = make('textarea', { maxLength: 100000 });
      const form = make('form', { hidden: true }, make('label', { textContent: t.why }, why), make('label', { textContent: t.fix }, fix), make('button', { className: 's', textContent: t.send }));
      const said = make('p'); // always there, so that a screen reader hears it change
      const row = make('div', { className: 'r', role: 'group', ariaLabel: t.g }, up, down, report);
      row.setAttribute('role', 'group');
      said.setAttribute('role', 'status');
      root.append(row, form, said);
      let kind = 'thumbs';
      const open = (show) => {
        form.hidden = !show;
        report.ariaExpanded = String(show && kind === 'report');
        if (show) why.focus();
      };
      const vote = (pressed) => { for (const one of [up, down]) one.ariaPressed = String(one === pressed); };
      this.reset = () => { vote(null); open(false); said.textContent = why.value = fix.value = ''; };
      const press = (button, value) => safe(() => {
        const back = button.ariaPressed === 'true';
        vote(back ? null : button);
        this.tell({ kind: 'thumbs', value: back ? null : value });
        kind = 'thumbs';
        open(!back && value === 'down');
      });
      up.addEventListener('click', press(up, 'up'));
      down.addEventListener('click', press(down, 'down'));
      report.addEventListener('click', safe(() => { const show = form.hidden || kind !== 'report'; kind = 'report'; open(show); }));
      form.addEventListener('keydown', safe((e) => { if (e.key === 'Escape') { open(false); (kind === 'report' ? report : down).focus(); } }));
      form.addEventListener('submit', safe((e) => {
        e.preventDefault();
        const comment = why.value.trim(), correction = fix.value.trim();
        if (kind === 'report') this.tell({ kind, comment });
        else if (comment) this.tell({ kind: 'comment', comment });
        if (correction) this.tell({ kind: 'correction', correction });
        why.value = fix.value = '';
        open(false);
        said.textContent = navigator.onLine === false ? t.later : t.thanks;
        (kind === 'report' ? report : down).focus();
      }));
      const answer = (node) => document.getElementById(this.getAttribute('for') || '')?.contains(node);
      this.hears = [
        ['copy', safe(() => { const chosen = getSelection(); if (chosen && !chosen.isCollapsed && answer(chosen.anchorNode)) this.signal('copied'); })],
        ['input', safe((e) => { if (answer(e.target)) this.signal('edited'); })],
        ['click', safe((e) => {
          const { reviewSignal, reviewFor } = e.target.closest?.('[data-review-signal]')?.dataset || {};
          if (reviewSignal && (!reviewFor || [this.getAttribute('for'), this.getAttribute('interaction')].includes(reviewFor))) this.signal(reviewSignal);
        })],
      ];
    }

    /** What the user did: copied, regenerated, rephrased, abandoned, edited, escalated. Each counts once an answer. */
    signal(name) {
      safe(() => {
        this.told ??= new Set();
        if (!SIGNALS.includes(name) || this.told.has(name)) return;
        this.told.add(name);
        this.tell({ kind: 'implicit', value: name });
      })();
    }

    tell(feedback) {
      safe(() => {
        const hub = (this.getAttribute('hub') || '').replace(/\/$/, ''), key = this.getAttribute('key'), interaction = this.getAttribute('interaction');
        if (!hub || !key || !interaction) return;
        const body = { ...feedback, interaction_id: interaction, key: uuid(), created_at: new Date().toISOString() };
        if (this.getAttribute('user')) body.user_id = this.getAttribute('user');
        save([...load(), { hub, key, token: this.getAttribute('token') || undefined, body }]);
        flush();
        this.dispatchEvent(new CustomEvent('review-feedback', { detail: feedback, bubbles: true }));
      })();
    }
  }
  safe(() => customElements.define('review-feedback', ReviewFeedback))();
})();
