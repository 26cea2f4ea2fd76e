// Words: how the desired answer differs from the model's, what any answer must say, and taking over what a judge
// suggests. Loaded after the first paint.
'use strict';
(() => {
  const { hub } = window, { $ } = hub;
  let frame;

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

  /** A row for something that any answer must say, or must not. */
  function addClaim(kind, text = '') {
    const row = $('#claim').content.firstElementChild.cloneNode(true);
    $('#claims').append(row);
    [$('select', row).value, $('input', row).value] = [kind, text];
    return row;
  }
  hub.keys.r = () => { $('#claims').closest('details').open = true; $('input', addClaim('must')).focus(); };
  hub.keys['shift+r'] = () => { $('#claims').closest('details').open = true; $('input', addClaim('must_not')).focus(); };


  document.addEventListener('input', (event) => {
    if (event.target.id === 'desired') { cancelAnimationFrame(frame); frame = requestAnimationFrame(showDiff); }
  });
  document.addEventListener('change', ({ target }) => { if (target.name === 'golden_set') target.form.elements.golden.checked = true; });
  document.addEventListener('click', ({ target }) => {
    if (target.closest('[data-add-claim]')) $('input', addClaim('must')).focus();
    const gone = target.closest('.claim button');
    if (gone) { gone.closest('.claim').remove(); $('#claims').dispatchEvent(new Event('change', { bubbles: true })); }
    if (target.closest('[data-accept]')) {
      const said = JSON.parse($('#labels [name=suggested]').value);
      $('#labels [name=accepted]').checked = true;
      hub.act($(`#labels [name=verdict][value=${said.verdict}]`));
      const box = said.primary_category && $(`#labels [name=categories][value="${said.primary_category}"]`);
      if (box && !box.checked) hub.act(box);
    }
  });

  hub.writing = { addClaim, showDiff };
  showDiff(); // of what was typed while this was on its way
})();
