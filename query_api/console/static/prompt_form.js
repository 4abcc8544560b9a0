// Show the fields of the chosen type, add and remove messages, and find variables while typing.
const form = document.querySelector("[data-prompt-form]");
const kinds = [...form.querySelectorAll("[data-kind]")];
const found = form.querySelector("[data-variables]");
// Not `form.dataset`, which is the field of this name in the playground.
const previewPath = form.getAttribute("data-preview");
const PAUSE_MS = 250;
let pending = 0;
let asked;

function showKind() {
  const kind = kinds.find((each) => each.checked)?.value;
  for (const each of form.querySelectorAll("[data-of]")) {
    each.hidden = kind !== undefined && each.dataset.of !== kind;
  }
}

function number() {
  [...form.querySelectorAll("[data-messages] > [data-message]")].forEach((message, index) => {
    message.querySelector("select").name = `role.${index}`;
    message.querySelector("textarea").name = `content.${index}`;
    message.querySelector("[data-remove]").value = `remove.${index}`;
  });
}

function show(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const [held, fresh] = [found, template.content].map((each) => each.querySelector("[data-fields]"));
  if (held && held.dataset.fields === fresh?.dataset.fields) {
    // The same fields stay, with the focus and with what was typed meanwhile.
    held.nextElementSibling.replaceWith(fresh.nextElementSibling);
  } else {
    found.replaceChildren(template.content);
  }
}

async function preview() {
  asked?.abort();
  asked = new AbortController();
  try {
    const answer = await fetch(previewPath, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      signal: asked.signal,
    });
    if (answer.ok) show(await answer.text());
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

function later() {
  clearTimeout(pending);
  pending = setTimeout(preview, PAUSE_MS);
}

form.addEventListener("input", (event) => {
  if (event.target.matches("[data-kind]")) showKind();
  if (event.target.matches("textarea, select, [data-kind]")) later();
});
form.addEventListener("click", (event) => {
  const add = event.target.closest("[data-add]");
  const remove = event.target.closest("[data-remove]");
  if (add) {
    event.preventDefault();
    const template = form.querySelector("[data-message-template]");
    const message = template.content.firstElementChild.cloneNode(true);
    add.parentElement.before(message);
    number();
    message.querySelector("textarea").focus();
  } else if (remove) {
    event.preventDefault();
    const message = remove.closest("[data-message]");
    const next = message.nextElementSibling?.querySelector("textarea, button");
    message.remove();
    number();
    next?.focus();
    later();
  }
});
showKind();
if (!found.children.length) preview();
