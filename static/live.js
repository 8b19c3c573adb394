// Live rows of the request history: server-sent events bring them, a button holds them back. What is opened does not move.
// What it expects of the markup: #history[data-live] with its table, #live-state, #live-pause, #live-anew.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const most = 100; // rows that a page grows to
  let source = null, at = null, paused = false, failed = false, late = 0, skipped = 0;

  function tell() {
    const state = $('#live-state'), button = $('#live-pause');
    if (!state) return;
    const lost = failed && !paused;
    state.textContent = paused ? 'Paused' : lost ? 'Not live' : 'Live';
    state.className = `status scripted ${paused ? 'ring' : lost ? 'wait' : 'ok'}`;
    $('span', button).textContent = paused ? 'Resume' : 'Pause';
    const use = $('use', button);
    use.setAttribute('href', use.getAttribute('href').replace(/#.*/, paused ? '#play' : '#pause'));
  }
  function newest() { return $('#history [data-request-id]')?.dataset.requestId ?? ''; }

  // The page is read anew where rows between would be missing, and where there is no table yet.
  const anew = () => $('#live-anew')?.click();
  // Not while a row is read, nor all the time.
  function skip() {
    if (paused || source) return;
    if ($('#history tr.open')) return setTimeout(skip, 1000);
    skipped = Date.now(); anew();
  }

  function add(html) {
    const table = $('#history table');
    if (!table) return anew();
    const open = $('tr.open', table), before = open?.getBoundingClientRect().top;
    const rows = document.createElement('template');
    rows.innerHTML = `<table>${html}</table>`;
    for (const row of [...rows.content.querySelectorAll('tbody')].reverse()) {
      if (document.getElementById(row.id)) continue;
      // By when they arrived: one that took long belongs below those that were quick.
      const older = [...table.tBodies].find((other) => other.id < row.id);
      table.insertBefore(row, older ?? null);
      htmx.process(row);
    }
    for (const last of [...table.tBodies].slice(most)) if (!$('tr.open', last)) last.remove();
    if (open) scrollBy(0, open.getBoundingClientRect().top - before);
  }

  function stop() { source?.close(); source = null; clearTimeout(late); failed = false; }
  function follow() {
    const section = $('#history[data-live]');
    if (at !== section) stop();
    at = section; tell();
    if (!section || paused || document.hidden || source) return;
    const url = new URL(section.dataset.live, location.href);
    url.searchParams.set('top', newest());
    source = new EventSource(url);
    // A stream ends now and then and is taken up again at once: only one that stays away is told of.
    source.onopen = () => { clearTimeout(late); failed = false; tell(); };
    source.onerror = ({ target }) => {
      clearTimeout(late); late = setTimeout(() => { failed = true; tell(); }, 5000);
      if (target.readyState === EventSource.CLOSED) setTimeout(() => { if (source === target) { source = null; follow(); } }, 30000); // refused: too many, or signed out
    };
    source.addEventListener('rows', ({ data }) => add(data));
    source.addEventListener('missed', () => { stop(); setTimeout(skip, Math.max(0, skipped + 5000 - Date.now())); });
  }

  document.addEventListener('click', (event) => {
    if (!event.target.closest('#live-pause')) return;
    paused = !paused;
    if (paused) stop();
    follow();
  });
  document.addEventListener('visibilitychange', () => { if (document.hidden) stop(); follow(); });
  document.addEventListener('htmx:after:swap', follow);
  addEventListener('pagehide', stop);
  addEventListener('pageshow', follow);
  follow();
})();
