// Answer the questions about a trace with the keyboard.
const form = document.querySelector("[data-annotation]");

function answer(question) {
  const choices = [...question.querySelectorAll('input[type="radio"]')];
  if (!choices.length) {
    question.querySelector("input").select();
    return;
  }
  const chosen = choices.findIndex((each) => each.checked);
  const next = choices[(chosen + 1) % choices.length];
  next.checked = true;
  next.focus();
}

document.addEventListener("keydown", (event) => {
  if (!form || event.ctrlKey || event.metaKey || event.altKey) return;
  const inText = event.target.closest('textarea, select, input:not([type="radio"])');
  if (event.key === "Enter" && (!inText || inText.form === form) && !event.shiftKey) {
    if (event.target.closest("a, button, summary")) return;
    if (event.target.matches("textarea") && !event.target.value.trim()) return;
    event.preventDefault();
    form.requestSubmit(form.querySelector("button.primary"));
  } else if (inText) {
    return;
  } else if (/^[1-9]$/.test(event.key)) {
    const question = form.querySelector(`[data-key="${event.key}"]`);
    if (question) {
      event.preventDefault();
      answer(question);
    }
  } else if (event.key === "c") {
    event.preventDefault();
    form.querySelector("[data-comment]").focus();
  } else if (event.key === "s") {
    form.querySelector("[data-skip]")?.click();
  }
});
