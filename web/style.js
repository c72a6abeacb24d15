/** The style of the elements. Custom properties and parts, listed in docs/howto/embed.md, change it from outside. */

const CSS = `
:host {
  color-scheme: light dark;
  --accent: var(--re-accent, light-dark(#3451d1, #a9b8ff));
  --on-accent: var(--re-on-accent, light-dark(#ffffff, #10173a));
  --text: var(--re-text, light-dark(#1a1d27, #eceef4));
  --muted: var(--re-muted, light-dark(#59607a, #a4abc0));
  --surface: var(--re-surface, light-dark(#ffffff, #1b1e28));
  --sunken: var(--re-sunken, light-dark(#f5f6fa, #13151d));
  --border: var(--re-border, light-dark(#dfe2ec, #343949));
  --control: var(--re-control-border, light-dark(#878eaa, #727a96));
  --good: light-dark(#12683f, #7fdcae);
  --bad: light-dark(#b3202f, #ff9ea3);
  --warn: light-dark(#7a4d00, #f2c46d);
  --radius: var(--re-radius, 10px);
  display: block;
  color: var(--text);
  font: 1rem/1.5 var(--re-font, system-ui, sans-serif);
  container-type: inline-size;
}
:host([hidden]), [hidden] { display: none !important; }
:host(export-button) { display: inline-block; container-type: normal; }
*, ::before, ::after { box-sizing: border-box; }
h2, h3, p, fieldset, legend, ul { margin: 0; padding: 0; border: 0; }
h2 { font-size: 1.25rem; font-weight: 650; line-height: 1.3; letter-spacing: -0.01em; }
h3 { font-size: 1rem; font-weight: 600; line-height: 1.4; overflow-wrap: anywhere; }
p, strong { overflow-wrap: anywhere; }
ul { list-style: none; display: grid; gap: 0.75rem; }
section + section { margin-top: 2.5rem; }
section > h2 { margin-bottom: 1rem; }
h2:focus, h3:focus, .summary:focus { outline: none; }
h2:focus-visible, h3:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible,
textarea:focus-visible, summary:focus-visible, .chip:has(:focus-visible) {
  outline: 3px solid var(--accent);
  outline-offset: 2px;
}
.panel, .card {
  background: var(--surface);
  border: 1px solid var(--border);
  border-radius: calc(var(--radius) * 1.4);
}
.panel { padding: clamp(1rem, 4cqi, 2rem); }
form { display: grid; gap: 1.5rem; }
.fields { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); gap: 1.25rem 1.5rem; }
.fields:empty, div:empty, .help:empty { display: none; }
.field { min-width: 0; }
.wide { grid-column: 1 / -1; }
.label { display: block; font-weight: 550; margin-bottom: 0.375rem; }
.note { color: var(--muted); font-weight: 400; font-size: 0.875rem; margin-left: 0.25rem; }
.help, .about, .facts, .what { color: var(--muted); font-size: 0.875rem; }
.about { font-size: 1rem; max-width: 65ch; }
.field .help, .field .fault { margin-top: 0.375rem; }
input:not([type=checkbox], [type=radio]), select, textarea {
  width: 100%; min-height: 2.75rem; padding: 0.5rem 0.75rem;
  font: inherit; color: inherit; background: var(--surface);
  border: 1px solid var(--control); border-radius: calc(var(--radius) * 0.8);
}
textarea { resize: vertical; }
[aria-invalid] { border-color: var(--bad) !important; box-shadow: 0 0 0 1px var(--bad); }
input[type=checkbox], input[type=radio] {
  accent-color: var(--accent);
  width: 1.15rem;
  height: 1.15rem;
  margin: 0;
  flex: none;
}
.check { display: flex; gap: 0.625rem; align-items: center; min-height: 1.75rem; }
.check + .help { margin-left: 1.8rem; }
.choices { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; }
.formats { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.chip {
  position: relative; display: inline-flex; align-items: center; min-height: 2.5rem; padding: 0.25rem 0.875rem;
  border: 1px solid var(--control); border-radius: 99px; cursor: pointer;
}
.chip input { position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0; cursor: pointer; }
.chip:has(:checked) {
  background: var(--accent);
  border-color: var(--accent);
  color: var(--on-accent);
  font-weight: 550;
}
details { border-top: 1px solid var(--border); border-bottom: 1px solid var(--border); padding: 0.75rem 0; }
details + details { border-top: 0; margin-top: -1.5rem; }
details > .fields { padding: 1rem 0 0.5rem; }
summary { cursor: pointer; font-weight: 550; border-radius: 4px; width: fit-content; }
.fault { color: var(--bad); font-size: 0.875rem; }
.warning { color: var(--warn); }
.foot { display: flex; flex-wrap: wrap; gap: 0.75rem 1.25rem; align-items: center; }
.foot .help { flex: 1 1 16rem; }
button {
  min-height: 2.5rem; padding: 0.375rem 1rem; font: inherit; font-weight: 550; cursor: pointer;
  border: 1px solid transparent; border-radius: calc(var(--radius) * 0.8); transition: filter 0.15s;
}
button:hover { filter: brightness(0.94); }
button[aria-disabled=true] { cursor: progress; opacity: 0.75; }
.primary { background: var(--accent); color: var(--on-accent); }
.quiet { background: transparent; color: var(--text); border-color: var(--control); }
.danger { background: var(--bad); color: var(--surface); }
.foot .primary { min-height: 2.75rem; padding-inline: 1.5rem; }
.card { padding: 1rem clamp(1rem, 3cqi, 1.25rem); display: grid; gap: 0.375rem; }
.card header { display: flex; gap: 0.5rem 1rem; justify-content: space-between; align-items: start; }
.card.first { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.status {
  flex: none; display: inline-flex; gap: 0.4rem; align-items: center; font-size: 0.8125rem; font-weight: 600;
  padding: 0.125rem 0.625rem; border-radius: 99px; background: var(--sunken); color: var(--muted);
}
.status::before { content: ""; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: currentColor; }
[data-status=SUCCEEDED] .status { color: var(--good); }
[data-status=FAILED] .status { color: var(--bad); }
[data-status=RUNNING] .status { color: var(--accent); }
.bar { display: flex; gap: 0.75rem; align-items: center; }
progress {
  flex: 1;
  min-width: 0;
  height: 0.5rem;
  appearance: none;
  border: 0;
  border-radius: 99px;
  overflow: hidden;
  background: var(--border);
}
progress::-webkit-progress-bar { background: var(--border); }
progress::-webkit-progress-value { background: var(--accent); border-radius: 99px; transition: inline-size 0.4s; }
progress::-moz-progress-bar { background: var(--accent); }
progress:indeterminate {
  background: linear-gradient(90deg, var(--border) 30%, var(--accent) 50%, var(--border) 70%) 0 / 300% 100%;
  animation: move 2.4s linear infinite;
}
progress:indeterminate::-webkit-progress-bar { background: transparent; }
progress:indeterminate::-moz-progress-bar { background: transparent; }
@keyframes move { from { background-position: 120% 0; } to { background-position: -20% 0; } }
.trouble {
  margin-top: 0.25rem;
  padding: 0.75rem 1rem;
  border-radius: var(--radius);
  background: var(--sunken);
  font-size: 0.875rem;
  display: grid;
  gap: 0.25rem;
}
[data-status=FAILED] .trouble strong { color: var(--bad); }
.trouble p:empty { display: none; }
@container (min-width: 36rem) {
  .card { grid-template-columns: 1fr auto; }
  .card > * { grid-column: 1 / -1; }
  .card > .what, .card > .facts { grid-column: 1; }
  .card > .actions { grid-area: 2 / 2 / span 2; align-self: end; }
}
.actions { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.25rem; }
.notice {
  display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; justify-content: space-between;
  padding: 0.75rem 1rem;
  margin-bottom: 1rem;
  border: 1px solid var(--control);
  border-radius: var(--radius);
  background: var(--sunken);
}
.empty {
  color: var(--muted);
  padding: 2rem 1rem;
  text-align: center;
  border: 1px dashed var(--control);
  border-radius: calc(var(--radius) * 1.4);
}
.more { margin-top: 1rem; }
.halted .panel, .halted section, .halted .loading { display: none; }
.absent { color: var(--bad); }
.absent:not(:empty) { margin-bottom: 1rem; }
dialog {
  width: min(44rem, calc(100vw - 2rem));
  max-height: calc(100dvh - 2rem);
  padding: clamp(1rem, 4vw, 2rem);
  overflow: auto;
  color: inherit; background: var(--surface); border: 1px solid var(--border); border-radius: calc(var(--radius) * 1.4);
  box-shadow: 0 24px 64px rgb(0 0 0 / 0.25);
}
dialog.small { width: min(26rem, calc(100vw - 2rem)); }
dialog::backdrop { background: rgb(10 12 20 / 0.5); }
dialog > header {
  display: flex;
  gap: 1rem;
  justify-content: space-between;
  align-items: center;
  margin-bottom: 1.25rem;
}
dialog.small p { margin: 0.5rem 0 1.25rem; color: var(--muted); }
dialog .card { border: 0; padding: 0; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; }
}
/* In a high-contrast theme the browser takes backgrounds, shadows and colours away: these say the same in its own. */
@media (forced-colors: active) {
  .status, .trouble { border: 1px solid; }
  .status::before, .chip:has(:checked), progress, progress::-webkit-progress-bar { forced-color-adjust: none; }
  .status::before { background: CanvasText; }
  .chip:has(:checked) { background: Highlight; border-color: Highlight; color: HighlightText; }
  progress, progress::-webkit-progress-bar { background: Canvas; }
  progress { border: 1px solid CanvasText; height: 0.75rem; }
  progress:indeterminate { background-image: linear-gradient(90deg, Canvas 30%, Highlight 50%, Canvas 70%); }
  progress::-webkit-progress-value { forced-color-adjust: none; background: Highlight; border-radius: 0; }
  progress::-moz-progress-bar { forced-color-adjust: none; background: Highlight; }
  button[aria-disabled=true] { color: GrayText; border-color: GrayText; opacity: 1; }
  .chip:has(:focus-visible) { outline-color: CanvasText; }
  .primary, .danger, .card.first { border-width: 2px; }
  [aria-invalid] { border-width: 3px !important; }
}
`;

/** One sheet for all elements of a page. A strict Content-Security-Policy allows it: it is no inline style. */
export const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);
