// Reading: scrolling, panes on a phone, sources, the guide, and what opens in a drawer beside the item. Loaded after the
// first paint; without it panes are anchors and the rest are pages.
'use strict';
(() => {
  const { hub } = window, { $, $$ } = hub;

  const scroll = (share) => $('#item').scrollBy({ top: share * $('#item').clientHeight });
  hub.keys.space = () => scroll(0.85);
  hub.keys['shift+space'] = () => scroll(-0.85);

  function pane(hash) {
    const review = $('#review');
    if (hash === '#labels') review.dataset.pane = 'label'; else delete review.dataset.pane;
    for (const link of $$('.pane-switch a')) link.hash === hash ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current');
  }

  /** Shows a part of another page in the drawer; where that fails, the page itself. */
  async function open(link) {
    const drawer = $('#drawer'), body = $('.body', drawer), { drawer: part, title } = link.dataset;
    $('h2', drawer).textContent = title;
    $('.head a', drawer).href = link.href;
    body.replaceChildren(hub.make('p', 'subtle', 'Loading'));
    drawer.showModal();
    try {
      const answer = await fetch(link.href, { headers: { 'HX-Request': 'true', 'HX-Target': part } });
      if (!answer.ok || answer.redirected) throw answer;
      const found = new DOMParser().parseFromString(await answer.text(), 'text/html').body;
      for (const one of $$('[hx-get^="?"]', found)) one.setAttribute('hx-get', link.href.split('?')[0] + one.getAttribute('hx-get'));
      for (const one of $$('a[href^="?"]', found)) one.href = link.href.split('?')[0] + one.getAttribute('href');
      for (const one of $$('a:not([hx-get])', found)) one.target = '_blank'; // this page has words on it
      body.replaceChildren(...found.childNodes);
      window.htmx.process(body);
      if ($('#steps', body)) hub.load(drawer.dataset.trace);
    } catch { body.replaceChildren(hub.make('p', '', 'This could not be loaded. Check the connection and your sign-in, or open the page.')); }
  }

  document.addEventListener('change', ({ target }) => {
    if (target.name === 'verdict' && target.value === 'fail' && $('#review').dataset.pane !== 'label' && !$('.cats').checkVisibility()) pane('#labels');
  });
  document.addEventListener('click', (event) => {
    const near = (selector) => event.target.closest(selector), link = near('.pane-switch a'), drawer = near('a[data-drawer]'), address = near('[data-address]');
    if (link) { event.preventDefault(); pane(link.hash); }
    if (near('[data-sources]')) {
      const all = $$('.docs details'), closed = !all.every((one) => one.open);
      for (const one of all) one.open = closed;
    }
    if (near('[data-open=guide]')) for (const one of $$('[data-guide]')) one.open = one.dataset.guide === $('#labels').elements.order.value.split(',')[0];
    if (event.detail) near('summary')?.blur(); // opened by mouse: Enter and Space mean the item again
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (drawer) { event.preventDefault(); open(drawer); }
    if (address && navigator.clipboard) {
      event.preventDefault();
      navigator.clipboard.writeText(address.href).then(() => hub.toast('Address copied.'), () => hub.toast('The browser did not let it be copied.', { failed: true }));
    }
  });
  for (const failure of ['htmx:sendError', 'htmx:responseError', 'htmx:timeout']) document.addEventListener(failure, () => hub.toast('This could not be loaded.'));
})();
