// The list of rules: U and N move the current row up and down, as its buttons do.
'use strict';
for (const [key, way] of [['u', 'up'], ['n', 'down']]) {
  hub.keys[key] = () => {
    const button = hub.$(`[data-row][aria-current=true] [name=to][value=${way}]`);
    if (!button || button.disabled) return false;
    button.click();
  };
}
