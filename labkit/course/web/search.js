// Finds the sections that hold all words; those with a word in their title come first.

function search(sections, query, most = 30) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const rank = (section) => words.filter((w) => section.title.toLowerCase().includes(w)).length;
  return sections
    .filter((s) => words.every((w) => (s.title + " " + s.text).toLowerCase().includes(w)))
    .map((section) => ({ section, rank: rank(section) }))
    .sort((a, b) => b.rank - a.rank) // stable: equal ones stay in the order of the course
    .slice(0, most)
    .map(({ section }) => section);
}

function excerpt(text, query, around = 90) {
  const word = query.toLowerCase().split(/\s+/).find((w) => w && text.toLowerCase().includes(w));
  const at = word ? text.toLowerCase().indexOf(word) : 0;
  const start = Math.max(0, at - around);
  const end = at + around;
  return (start ? "… " : "") + text.slice(start, end) + (end < text.length ? " …" : "");
}

if (typeof document !== "undefined") {
  const { sections, titles } = JSON.parse(document.getElementById("index").textContent);
  const input = document.getElementById("words");
  const show = () => {
    const found = search(sections, input.value);
    const results = document.getElementById("results");
    results.replaceChildren(
      ...found.map((section) => {
        const link = document.createElement("a");
        link.href = `${section.page}.html#${section.id}`;
        link.textContent = `${titles[section.page]}: ${section.title}`;
        const text = document.createElement("p");
        text.textContent = excerpt(section.text, input.value);
        const item = document.createElement("li");
        item.append(link, text);
        return item;
      }),
    );
    const some = input.value.trim() ? `${found.length} sections` : "";
    document.getElementById("found").textContent = some;
  };
  input.addEventListener("input", show);
  input.value = new URLSearchParams(location.search).get("words") || "";
  show();
}
