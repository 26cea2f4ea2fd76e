// Open notes: dragging a note onto a group ticks it and sends the form that moves ticked notes. All works without.
'use strict';
(() => {
  const form = document.getElementById('place');
  if (!form) return;
  const boxes = () => [...document.querySelectorAll('[data-note] [name=note]')];
  let over = null;
  const mark = (target) => { over?.classList.remove('is-over'); over = target; over?.classList.add('is-over'); };

  hub.keys.x = () => {
    const box = hub.$('[data-note][aria-current=true] [name=note]');
    if (!box) return false;
    box.checked = !box.checked;
  };
  document.addEventListener('dragstart', (event) => {
    const note = event.target.closest?.('[data-note]');
    if (!note) return;
    const box = note.querySelector('[name=note]');
    if (!box.checked) boxes().forEach((other) => { other.checked = other === box; });  // several that are ticked go together
    event.dataTransfer.setData('text/plain', box.value);
    event.dataTransfer.effectAllowed = 'move';
  });
  document.addEventListener('dragover', (event) => {
    const target = event.target.closest?.('[data-drop]');
    mark(target);
    if (target) event.preventDefault();
  });
  document.addEventListener('dragend', () => mark(null));
  document.addEventListener('drop', (event) => {
    const target = event.target.closest?.('[data-drop]');
    if (!target || !boxes().some((box) => box.checked)) return;
    event.preventDefault();
    form.elements.to.value = target.dataset.drop;
    form.requestSubmit();
  });
})();
