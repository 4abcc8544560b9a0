// Complete the last term of a search: `user:a` with the values of the project.
const DELAY_MS = 150;
const TERM = /(?:^|\s)([a-z]+):"?([^\s":]*)$/;

function completeIn(input) {
  const options = input.list;
  const starts = [...options.children].map((each) => each.value);
  let timer = 0;
  let asked = "";

  const show = (values) => {
    options.replaceChildren(...values.map((value) => Object.assign(document.createElement("option"), { value })));
  };
  const quoted = (value) => (/^[^\s"\\]+$/.test(value) ? value : `"${value.replace(/[\\"]/g, "\\$&")}"`);

  async function complete() {
    const text = input.value;
    const found = TERM.exec(text);
    if (!found) {
      asked = "";
      const before = text.slice(0, text.search(/\S*$/));
      show(starts.map((each) => before + each));
      return;
    }
    const url = `${input.dataset.values}&field=${encodeURIComponent(found[1])}&text=${encodeURIComponent(found[2])}`;
    if (url === asked) return;
    asked = url;
    const answer = await fetch(url).catch(() => null);
    if (!answer?.ok || asked !== url) return;
    const before = text.slice(0, text.length - found[2].length).replace(/"$/, "");
    show((await answer.json()).map((value) => before + quoted(value)));
  }
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(complete, DELAY_MS);
  });
}

const inputs = (root) => root.querySelectorAll("input[data-values]").forEach(completeIn);
inputs(document);
document.addEventListener("htmx:load", (event) => event.detail.elt !== document.body && inputs(event.detail.elt));
