// Latchkey's script. It only adds to what works without it: copying, the reader's time zone, dialogs, menus, the one-time banner.
// What it expects of the markup: data-copy, data-copy-text, data-relative, data-local, data-zone, data-close, data-opens, #dialog, #new-key, #announce.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector) => document.querySelectorAll(selector), once = ':is(#new-key, #webhook-secret, #recovery-codes)'; // shown once
  const announce = (text) => { const at = $('#announce'); at.textContent = ''; setTimeout(() => { at.textContent = text; }, 50); };

  // Copying. navigator.clipboard exists on https and localhost only, hence the older command, hence selecting for the reader.
  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not a secure context, or refused */ }
    const area = Object.assign(document.createElement('textarea'), { className: 'visually-hidden', value: text });
    ($('dialog[open]') || document.body).append(area);
    area.select();
    try { return document.execCommand('copy'); } finally { area.remove(); }
  }
  async function copyFrom(button) {
    const source = button.dataset.copy && $(button.dataset.copy);
    if (!await copy(button.dataset.copyText ?? source.textContent.trim())) {
      if (source) getSelection().selectAllChildren(source);
      return announce('Not copied. The text is selected: copy it with the keyboard.');
    }
    button.focus(); announce('Copied');
    const banner = button.closest(once), label = $('span', button), use = $('use', button);
    if (banner) banner.dataset.copied = '';
    if (button.classList.contains('copied')) return;
    const before = [label?.textContent, use?.getAttribute('href')];
    const show = (words, picture) => { if (label) label.textContent = words; use?.setAttribute('href', picture); };
    button.classList.add('copied');
    show('Copied', before[1]?.replace(/#.*/, '#check'));
    // In the banner it stays: the key is shown once, and so is the proof that it was taken.
    if (!banner) setTimeout(() => { button.classList.remove('copied'); show(...before); }, 2000);
  }

  // Times are written in UTC by the server; the reader's own zone is added, never put in their place.
  const zone = Intl.DateTimeFormat('en-GB', { timeZoneName: 'short', hour: '2-digit', minute: '2-digit' });
  const full = Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' });
  const steps = [[60, 's', 'second'], [60, 'min', 'minute'], [24, 'h', 'hour']];
  function relative(time, now) {
    let n = Math.max(0, Math.floor((now - Date.parse(time.dateTime)) / 1000));
    if (n === 0) return 'just now';
    for (const [size, short, long] of steps) {
      if (n < size) return time.dataset.relative === 'long' ? `${n} ${long}${n === 1 ? '' : 's'} ago` : `${n} ${short} ago`;
      n = Math.floor(n / size);
    }
    return null; // older than a day: the date that the server wrote
  }
  function tellTime() {
    const now = Date.now();
    for (const time of all('time[datetime]')) {
      const at = new Date(time.dateTime);
      if (!time.dateTime.includes('T')) continue; // a day has no zone
      if (!time.title) time.title = `${full.format(at)}, your time`;
      if ('relative' in time.dataset) time.textContent = relative(time, now) ?? time.textContent;
      if ('local' in time.dataset && !time.dataset.local && at.getTimezoneOffset() !== 0) {
        time.dataset.local = 'told';
        time.append(` (${zone.format(at)})`);
      }
    }
    const offset = -new Date().getTimezoneOffset(), to = $('[data-zone]');
    const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), String(Math.abs(offset) % 60).padStart(2, '0')];
    if (to && offset) to.textContent = `You are at UTC${offset < 0 ? '−' : '+'}${hours}:${minutes}; point at a time to see yours`;
  }
  setInterval(tellTime, 15000);

  // The one-time banner: leaving without the key asks once, and so does making another; other changes leave it in place.
  let kept = null; const uncopied = () => $(`${once}:not([data-copied=""])`);
  addEventListener('beforeunload', (event) => {
    const banner = $(`${once}:not([data-copied])`); if (!banner) return;
    banner.dataset.copied = 'asked';
    event.preventDefault(); // the browser words the question
  });
  document.addEventListener('copy', ({ target }) => { // by hand counts too
    if ((target.closest ? target : target.parentElement)?.closest(once)) $(once).dataset.copied = '';
  });
  // What the page asks by itself, every few seconds: not while nobody looks, and without a word when it fails.
  const byItself = (ctx) => ctx?.sourceEvent?.type === 'every';
  document.addEventListener('htmx:before:request', (event) => {
    const anew = () => uncopied() && $('[name=once]', event.target) && !confirm('The new key has not been copied and won’t be shown again. Go on?');
    if (byItself(event.detail.ctx) ? document.hidden : anew()) event.preventDefault();
  });
  document.addEventListener('htmx:before:swap', ({ detail: { ctx } }) => { kept = ctx.select === '#main' ? uncopied() : null; });

  // Dialogs. htmx puts a confirmation into #dialog; opened here, closed by Escape, Cancel, the scrim, or the answer to its form.
  let opener = null;
  document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
    const dialog = $('#dialog');
    if (!byItself(ctx)) closeMenus(); tellTime();
    if (ctx.select === '#main') { // the page changed under the reader: say so
      opener = null; dialog.close();
      ($('#new-key') ?? $('#main [aria-invalid]') ?? $('#flash') ?? $('#main'))?.focus();
      if (kept && !$(once)) $('#main').prepend(kept);
    } else if (!dialog.open && dialog.childElementCount) {
      opener = ctx.sourceElement.closest('details')?.querySelector('summary') ?? $('button', ctx.sourceElement) ?? ctx.sourceElement;
      dialog.showModal();
    }
  });
  document.addEventListener('htmx:error', ({ detail: { ctx } }) => {
    const at = $('dialog[open] .confirm') || $('#main');
    if (!byItself(ctx) && !$('.no-answer', at)) at.prepend($('#no-answer').content.cloneNode(true));
  });
  $('#dialog')?.addEventListener('close', ({ target }) => { target.replaceChildren(); opener?.focus(); opener = null; });

  // Menus are <details>; a click elsewhere and Escape close them.
  function closeMenus(except) { for (const menu of all('details.menu[open]')) if (menu !== except) menu.open = false; }
  document.addEventListener('click', (event) => {
    const { target } = event, dialog = $('#dialog'), button = target.closest('[data-copy], [data-copy-text]');
    closeMenus(target.closest('details.menu'));
    if (button) copyFrom(button);
    if (target === dialog || (target.closest('[data-close]') && dialog?.open)) { event.preventDefault(); dialog.close(); }
    // A click anywhere in a row that opens is a click on its chevron, unless it meant something else.
    const row = target.closest('tr[data-opens]');
    if (row && !target.closest('a, button, summary, input, details') && getSelection().isCollapsed) $('.opens', row).click();
  });
  document.addEventListener('keydown', (event) => {
    const menu = event.key === 'Escape' && $('details.menu[open]');
    if (menu) { menu.open = false; $('summary', menu).focus(); }
  });

  tellTime(); $('#new-key')?.focus();
})();
