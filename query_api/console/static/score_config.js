// Show only the fields that the chosen type of score has.
const form = document.querySelector("[data-score-config]");

function show() {
  for (const each of form.querySelectorAll("[data-of]")) {
    each.hidden = each.dataset.of !== form.elements.data_type.value;
  }
}
form?.addEventListener("change", show);
if (form) show();
