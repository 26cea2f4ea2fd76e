// Marked passages. What is selected can be marked: by mouse, or from the keyboard, where H selects a sentence.
// Places are those of the stored text, in code points: the server writes them on the spans (projects/places.py).
'use strict';
(() => {
  const { hub } = window, { $, $$, make } = hub;
  const boxes = () => [...$$('#item .answer [data-target]'), ...$$('#item .context [data-target]'), ...$$('#item .turn:not(.answer, .context) [data-target]')];
  const list = () => $('#marks');
  const all = () => $$('[name=mark]', list()).map((input) => JSON.parse(input.value));
  const boxOf = (mark) => boxes().find((box) => box.dataset.target === mark.target && (box.dataset.ref ?? '') === (mark.ref ?? ''));
  const category = (slug) => $(`[name=categories][value="${CSS.escape(slug ?? '')}"]`);
  let active = -1;

  // ── letters of a text and their places ─────────────────────────────────────
  const known = new WeakMap();
  function letters(box) {
    if (!known.has(box)) {
      known.set(box, $$('[data-s]', box).flatMap((piece) => {
        const { s, e } = piece.dataset, first = piece.classList.contains('sent');
        if (e) return [{ piece, n: 0, s: +s, e: +e, c: piece.textContent, first }];
        return [...piece.textContent].map((c, n) => ({ piece, n, s: +s + n, e: +s + n + 1, c, first: first && !n }));
      }));
    }
    return known.get(box);
  }

  /** The text node and offset before the n-th letter of a span; after its last where there are fewer. */
  function point(piece, n) {
    const walk = document.createTreeWalker(piece, NodeFilter.SHOW_TEXT);
    let node, last;
    while ((node = walk.nextNode())) {
      const own = [...node.data];
      if (n < own.length) return [node, own.slice(0, n).join('').length];
      n -= own.length; last = node;
    }
    return [last, last.length];
  }

  function select(box, from, to) {
    const some = letters(box), first = some[from], last = some[to - 1];
    box.closest('details:not([open])')?.setAttribute('open', '');
    getSelection().setBaseAndExtent(...point(first.piece, first.n), ...point(last.piece, last.piece.dataset.e ? Infinity : last.n + 1));
    first.piece.scrollIntoView({ block: 'nearest' });
    hub.say(some.slice(from, to).map(({ c }) => c).join(''));
  }

  /** What is selected in one text, as first and last letter without the spaces at its ends. */
  function selected() {
    const chosen = getSelection();
    if (chosen.isCollapsed || !chosen.rangeCount) return null;
    const range = chosen.getRangeAt(0), near = (node) => (node.closest ? node : node.parentNode).closest('#item [data-target]');
    const box = near(range.startContainer) ?? near(range.endContainer);
    if (!box) return null;
    const some = letters(box), probe = document.createRange();
    const count = (piece, node, offset) => { probe.setStart(piece, 0); probe.setEnd(node, offset); return [...probe.toString()].length; };
    const hits = $$('[data-s]', box).filter((piece) => range.intersectsNode(piece)).map((piece) => {
      const size = [...piece.textContent].length, { startContainer: first, endContainer: last } = range;
      return { piece, a: piece.contains(first) ? count(piece, first, range.startOffset) : 0, b: piece.contains(last) ? count(piece, last, range.endOffset) : size };
    }).filter(({ a, b }) => a < b);
    if (!hits.length) return null;
    const index = (piece, n) => some.findIndex((letter) => letter.piece === piece) + (piece.dataset.e ? +(n > 0) : n);
    let from = index(hits[0].piece, hits[0].piece.dataset.e ? 0 : hits[0].a), to = index(hits.at(-1).piece, hits.at(-1).b);
    while (from < to && !some[from].c.trim()) from++;
    while (from < to && !some[to - 1].c.trim()) to--;
    return from < to ? { box, from, to } : null;
  }

  // ── marks: the list is what the form posts, the text shows them ────────────
  const apart = (a, b) => a.target !== b.target || (a.ref ?? '') !== (b.ref ?? '') || a.end <= b.start || b.end <= a.start;

  function set(marks, changed = true) {
    active = Math.min(active, marks.length - 1);
    list().replaceChildren(...marks.map((mark, place) => {
      const line = make('li'), input = make('input'), link = make('a'), drop = make('button', 'btn quiet icon sm', '×');
      Object.assign(input, { type: 'checkbox', name: 'mark', value: JSON.stringify(mark), checked: true });
      link.href = '#item';
      const box = boxOf(mark), quote = box ? letters(box).filter(({ s, e }) => s < mark.end && e > mark.start).map(({ c }) => c).join('') : '';
      const tag = category(mark.category)?.parentNode.querySelector('b').textContent ?? (mark.kind === 'evidence' ? 'Evidence' : '');
      link.append(make('span', 'n', place + 1), make('span', 'ellipsis', quote));
      if (tag) link.append(make('span', mark.kind === 'evidence' ? 'tag ev' : 'tag', tag));
      drop.type = 'button';
      drop.setAttribute('aria-label', `Remove mark ${place + 1}`);
      line.append(input, link, drop);
      return line;
    }));
    draw();
    if (changed) list().dispatchEvent(new Event('change', { bubbles: true }));
  }

  function draw() {
    for (const piece of new Set($$('#item mark').map((mark) => mark.closest('[data-s]')))) piece.textContent = piece.textContent;
    const marks = all();
    for (const box of boxes()) {
      const here = marks.map((mark, place) => ({ ...mark, n: place })).filter((mark) => boxOf(mark) === box).sort((a, b) => a.start - b.start);
      if (!here.length) continue;
      for (const piece of $$('[data-s]', box)) {
        const start = +piece.dataset.s, whole = piece.dataset.e, text = whole ? [piece.textContent] : [...piece.textContent];
        const until = (n) => whole ? +whole : start + n + 1, owner = (n) => here.find((mark) => start + n < mark.end && until(n) > mark.start);
        if (!here.some((mark) => start < mark.end && until(text.length - 1) > mark.start)) continue;
        const parts = [];
        text.forEach((c, n) => {
          const mark = owner(n), last = parts.at(-1);
          if (last && last.mark === mark) { last.said += c; last.end = until(n); } else parts.push({ mark, said: c, end: until(n) });
        });
        piece.replaceChildren(...parts.map(({ mark, said, end }) => {
          if (!mark) return said;
          const part = make('mark', mark.kind === 'evidence' ? 'evidence' : '', said);
          part.dataset.n = mark.n + 1;
          if (end >= mark.end) part.classList.add('last');
          return part;
        }));
      }
    }
    show(active);
  }

  function show(place, scroll = false) {
    active = place;
    for (const mark of $$('#item mark')) mark.classList.toggle('is-active', +mark.dataset.n === place + 1);
    $$('li', list()).forEach((line, n) => { line.classList.toggle('is-active', n === place); if (n === place && scroll) line.scrollIntoView({ block: 'nearest' }); });
    if (!scroll || place < 0) return;
    const first = $(`#item mark[data-n="${place + 1}"]`);
    first?.closest('details')?.setAttribute('open', '');
    first?.scrollIntoView({ block: 'nearest' });
    hub.say(`Mark ${place + 1}: ${$$('li', list())[place].querySelector('a').textContent}`);
  }

  function add(slug, kind) {
    const { box, from, to } = selected(), some = letters(box), { target, ref } = box.dataset;
    const mark = { target, ...(ref === undefined ? {} : { ref }), start: some[from].s, end: some[to - 1].e, ...(slug && { category: slug }), ...(kind && { kind }) };
    const kept = all().flatMap((old) => apart(old, mark) ? [old] : [{ ...old, end: mark.start }, { ...old, start: mark.end }].filter(({ start, end }) => start < end));
    getSelection().removeAllRanges();
    active = kept.length;
    set([...kept, mark]);
    if (slug) { choose(slug); active = -1; show(-1); }
    hub.say(`Marked as ${active + 1 || kept.length + 1}.`);
  }

  function choose(slug) {
    const box = category(slug);
    if (!box.checked) hub.act(box);
  }

  function remove(place) { set(all().filter((_, n) => n !== place)); }

  // ── keys ───────────────────────────────────────────────────────────────────
  const sentences = () => boxes().flatMap((box) => {
    const some = letters(box), starts = some.flatMap((letter, n) => letter.first ? [n] : []);
    return starts.map((from, n) => {
      let to = starts[n + 1] ?? some.length;
      while (to > from + 1 && !some[to - 1].c.trim()) to--;
      return { box, from, to };
    });
  });

  function move(now, step) {
    const every = sentences(), at = every.findLastIndex(({ box, from }) => box === now.box && from <= now.from);
    const { box, from, to } = every[Math.max(0, Math.min(every.length - 1, at + step))];
    select(box, from, to);
  }

  function extend({ box, from, to }, step, unit) {
    const some = letters(box), ends = unit === 'word'
      ? some.flatMap(({ c }, n) => c.trim() && !some[n + 1]?.c.trim() ? [n + 1] : [])
      : sentences().filter((one) => one.box === box).map((one) => one.to);
    const end = step > 0 ? ends.find((one) => one > to) : ends.findLast((one) => one < to);
    if (end > from) select(box, from, end);
  }

  /** Keys that mean something else while text is selected or a mark is pointed at; true if the key was one. */
  hub.mode = (key) => {
    const now = selected(), marks = all();
    const digit = /^[\d=-]$/.test(key) && $(`[name=categories][data-key~="${key}"]`);
    if (now) {
      const act = {
        enter: () => add(), 'shift+enter': () => add(undefined, 'evidence'), escape: () => getSelection().removeAllRanges(),
        arrowdown: () => move(now, 1), arrowup: () => move(now, -1),
        'shift+arrowdown': () => extend(now, 1), 'shift+arrowup': () => extend(now, -1),
        'shift+arrowright': () => extend(now, 1, 'word'), 'shift+arrowleft': () => extend(now, -1, 'word'),
      }[key] ?? (digit ? () => add(digit.value) : null);
      act?.();
      return Boolean(act);
    }
    if (active < 0) return false;
    if (key === 'escape') { show(-1); return true; }
    if (key === 'delete') { remove(active); return true; }
    if (!digit) return false;
    set(marks.map((mark, n) => n === active ? { ...mark, category: digit.value } : mark));
    choose(digit.value);
    show(-1);
    return true;
  };
  hub.keys.h = () => {
    const view = $('#item').getBoundingClientRect(), every = sentences();
    const seen = every.find(({ box, from }) => { const { top, bottom } = letters(box)[from].piece.getBoundingClientRect(); return bottom > view.top && top < view.bottom && top !== bottom; }) ?? every[0];
    if (seen) { $('#item').focus({ preventScroll: true }); select(seen.box, seen.from, seen.to); }
  };
  const turn = (step) => { const { length } = all(); if (length) show((active + step + length + (active < 0 && step < 0)) % length, true); return length > 0; };
  hub.keys.j = () => turn(1);
  hub.keys.k = () => turn(-1);

  // ── mouse and touch ────────────────────────────────────────────────────────
  document.addEventListener('selectionchange', () => { const bar = $('#marking'); if (bar) bar.hidden = !selected(); });
  document.addEventListener('pointerdown', (event) => { if (event.target.closest('#marking')) event.preventDefault(); });
  document.addEventListener('click', (event) => {
    const button = event.target.closest('#marking button'), line = event.target.closest('#marks li'), mark = event.target.closest('#item mark');
    if (button && selected()) add(undefined, button.dataset.kind);
    if (line) { event.preventDefault(); const place = $$('li', list()).indexOf(line); event.target.closest('button') ? remove(place) : show(place, true); }
    if (mark && getSelection().isCollapsed) show(mark.dataset.n - 1, true);
  });

  hub.marks = { all, set, begin: () => { active = -1; if (all().length) draw(); } };
  hub.marks.begin();
})();
