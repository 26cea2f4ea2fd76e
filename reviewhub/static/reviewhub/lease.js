// The reservation of the item on the screen: shown every second, spoken when it runs low, extended while one reads.
// Loaded after the first paint; the review screen has the time itself.
'use strict';
(() => {
  const { hub } = window, { $, $$ } = hub, { review } = hub;

  hub.tick = () => {
    const { item } = review, left = Math.max(0, Math.round((item.until - Date.now()) / 1000));
    for (const time of $$('[data-lease]')) {
      time.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
      time.closest('.lease').classList.toggle('is-low', left < 120);
    }
    for (const mark of [120, 30]) if (left <= mark && left > 0 && item.told > mark) { item.told = mark; hub.say(`Reserved for you for ${mark === 120 ? 'two more minutes' : 'thirty more seconds'}.`); }
  };

  setInterval(async () => {
    const mine = review.item;
    if (!document.hidden && Date.now() - mine.active < 60000) mine.seconds += 1;
    hub.tick();
    if (mine.active > mine.asked && Date.now() - mine.asked > 60000 && !mine.busy) {
      mine.asked = Date.now();
      const { kind, text } = await hub.sending.send($('#labels').dataset.heartbeat);
      if (review.item !== mine) return;
      if (kind === 'ok') review.extend(JSON.parse(text).seconds); else if (kind === 'lost') review.trouble(kind);
    }
  }, 1000);
  for (const name of ['keydown', 'pointerdown', 'wheel', 'touchmove']) addEventListener(name, () => { review.item.active = Date.now(); }, { passive: true, capture: true });
})();
