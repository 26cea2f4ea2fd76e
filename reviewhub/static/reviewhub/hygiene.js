// The hygiene page: O, M, D and R press the button of the current finding that shows this key.
'use strict';
for (const key of ['o', 'm', 'd', 'r']) {
  hub.keys[key] = () => {
    const button = hub.$(`[data-row][aria-current=true] [data-verb=${key}]`);
    if (!button) return false;
    button.click();
  };
}
