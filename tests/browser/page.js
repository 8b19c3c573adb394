// What a person finds on the page: visible things by what they say. A dialog covers what is behind it.
const tidy = (text) => (text ?? '').replace(/\s+/g, ' ').trim();
const top = document.querySelector('dialog:modal') ?? document.body;
const kinds = {
  button: 'button, a[href], summary, input[type=submit], [role=button]',
  field: 'input:not([type=hidden]), select, textarea',
  heading: 'h1, h2, h3',
};
function find(kind, part) {
  const says = (element) => [element.getAttribute('aria-label'), element.textContent, ...[...element.labels ?? []].map((label) => label.textContent)];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
  return [...top.querySelectorAll(kinds[kind])].filter((element) => seen(element) && says(element).some((text) => tidy(text).includes(part)));
}
