// Adds up the numbers of a [data-sum] fieldset as they are typed. "all": an empty field counts as its usual number;
// "filled": only while every field is empty. The server checks it again.
'use strict';
for (const set of document.querySelectorAll('[data-sum]')) {
  const fields = [...set.querySelectorAll('input')], line = set.querySelector('[data-sum-line]'), out = set.querySelector('[data-sum-out]');
  const number = (text) => Number(text.trim().replace(',', '.'));
  const add = () => {
    const usual = set.dataset.sum === 'all' || fields.every((field) => !field.value.trim());
    const total = fields.reduce((sum, field) => sum + (field.value.trim() ? number(field.value) : usual ? number(field.placeholder) : 0), 0);
    out.value = Number.isNaN(total) ? '–' : String(Math.round(total * 1000) / 1000);
    line.classList.toggle('bad', Math.abs(total - 100) > 1e-9 || Number.isNaN(total));
  };
  line.hidden = false;
  set.addEventListener('input', add);
  add();
}
