// The interactions list: what is ticked, by mouse and by key. Without this the boxes and buttons work as they are.
'use strict';
(() => {
  const { $, $$, keys } = window.hub;
  const boxes = () => $$('[data-row] [name=pk]');
  let last = null;

  function show() {
    const all = boxes(), ticked = all.filter((box) => box.checked).length, whole = $('[data-tick-all]'), said = $('[data-ticked]');
    if (whole) Object.assign(whole, { hidden: false, checked: ticked > 0 && ticked === all.length, indeterminate: ticked > 0 && ticked < all.length });
    if (said) said.textContent = $('.bulk [name=everything]').checked ? 'All that match' : `${ticked} selected`;
  }

  function tick(box, on = !box.checked) { box.checked = on; }

  keys.x = () => {
    const box = $('[data-row][aria-current=true] [name=pk]');
    if (!box) return false;
    tick(box);
    last = box;
    show();
    return true;
  };
  keys['shift+x'] = () => {
    const box = $('[data-row][aria-current=true] [name=pk]'), all = boxes();
    if (!box) return false;
    const [from, to] = [all.indexOf(last ?? box), all.indexOf(box)].sort((a, b) => a - b);
    all.slice(Math.max(0, from), to + 1).forEach((one) => tick(one, true));
    last = box;
    show();
    return true;
  };

  // Ticking a row is not a filter: the form around the table must not hear of it.
  document.addEventListener('change', (event) => {
    const { target } = event;
    if (target.matches('[data-tick-all]')) boxes().forEach((box) => tick(box, target.checked));
    else if (target.form?.id !== 'bulk') return;
    if (target.name === 'pk') last = target;
    event.stopPropagation();
    show();
  }, true);
  document.addEventListener('htmx:afterSwap', () => { last = null; show(); });
  show();
})();
