// The page of an interaction: the trace by arrow keys, and copying. Without this its links work as they are.
'use strict';
(() => {
  const { $, $$, toast } = window.hub;
  const PAUSE = 150; // ms; a step that the arrows only pass over is not fetched
  let pausing;

  const mark = (row) => $$('#steps > [aria-current]').concat(row).forEach((one) => one === row ? one.setAttribute('aria-current', 'true') : one.removeAttribute('aria-current'));

  document.addEventListener('click', (event) => {
    const step = event.target.closest('#steps .step');
    if (step && !event.ctrlKey && !event.metaKey && !event.shiftKey) mark(step.closest('li'));
    const copy = event.target.closest('[data-copy]');
    if (copy) navigator.clipboard.writeText($(`#${copy.dataset.copy}`).textContent).then(() => toast('Copied.'), () => toast('The browser did not let it be copied.', { failed: true }));
  });

  document.addEventListener('keydown', (event) => {
    const row = event.target.closest('#steps > [data-step]');
    if (!row || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      event.preventDefault();
      let next = row;
      do next = event.key === 'ArrowUp' ? next.previousElementSibling : next.nextElementSibling;
      while (next && !next.matches('[data-step]'));
      if (!next) return;
      const step = $('.step', next);
      step.focus();
      clearTimeout(pausing);
      pausing = setTimeout(() => step.click(), PAUSE);
    }
    const fold = $('.fold-step', row);
    if (fold && event.key === (fold.getAttribute('aria-expanded') === 'true' ? 'ArrowLeft' : 'ArrowRight')) {
      event.preventDefault();
      $('.step', row).focus(); // stays there: its id outlives the swap
      fold.click();
    }
  });

  for (const button of $$('[data-copy]')) button.hidden = !navigator.clipboard;
})();
