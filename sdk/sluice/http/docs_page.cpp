#include <sluice/http/docs_page.hpp>

#include <string>
#include <string_view>

namespace sluice::http {

namespace {

constexpr std::string_view head = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>API</title>
<style>)html";

constexpr std::string_view style = R"css(
:root { --ink: #1c2330; --dim: #5b6577; --paper: #ffffff; --soft: #f2f4f8; --line: #d5dae3; --mark: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf2; --dim: #9aa6ba; --paper: #12161d; --soft: #1b212b; --line: #323b49; --mark: #7db7f5; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
a { color: var(--mark); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; background: var(--soft); border-radius: 6px; }
details > div { padding: .2rem .8rem .8rem; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; color: var(--mark); }
.path, pre, textarea, td:first-child { font-family: ui-monospace, monospace; font-size: .9rem; }
.dim { color: var(--dim); }
table { border-collapse: collapse; width: 100%; } td { padding: .2rem .5rem .2rem 0; vertical-align: top; }
input, textarea, button { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line);
  border-radius: 4px; padding: .25rem .5rem; }
input { width: 16rem; max-width: 100%; } textarea { width: 100%; min-height: 7rem; box-sizing: border-box; }
button { background: var(--mark); color: var(--paper); cursor: pointer; margin: .5rem .5rem .5rem 0; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: .5rem; overflow: auto;
  max-height: 24rem; white-space: pre-wrap; overflow-wrap: anywhere; }
)css";

// Only ever sets text, never markup: what it shows comes from programs and their answers.
constexpr std::string_view script = R"js(
"use strict";
const make = (tag, props = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
};
// JavaScript rounds numbers of more than 15 digits, so none is read that is to be shown: answers are indented as text,
// and in the document long numbers are strings behind a mark, until they are written.
const tokens = /"(?:[^"\\]|\\.)*"|\{\s*\}|\[\s*\]|[{}[\],:]|[^\s"{}[\],:]+/g;
const indented = text => {
  let out = "", depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  for (const [token] of text.matchAll(tokens))
    if (token === "{" || token === "[") { ++depth; out += token + line(); }
    else if (token === "}" || token === "]") { --depth; out += line() + token; }
    else if (token === ",") out += token + line();
    else out += token === ":" ? ": " : token.startsWith('"') ? token : token.replace(/\s/g, "");
  return out;
};
const mark = "\0";
const read = text => JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]{15,}/g,
                                            token => token.startsWith('"') ? token : `"\\u0000${token}"`));
const pretty = value => JSON.stringify(value, null, 2).replace(/"\\u0000([^"]*)"/g, "$1");
const plain = value => String(value).replace(mark, "");
const nameOf = ref => ref.split("/").pop();

let api = {};
const resolve = schema => schema && schema.$ref ? resolve(api.components.schemas[nameOf(schema.$ref)]) : schema || {};

// A value that a schema allows, for a start; `seen` ends structs that contain themselves.
const example = (given, seen = []) => {
  const schema = resolve(given);
  if (seen.includes(schema)) return null;
  const inner = [...seen, schema];
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = schema.oneOf || schema.anyOf;
  if (choice) return example(choice[0], inner);
  switch (schema.type) {
    case "object": {
      const value = {};
      for (const [name, member] of Object.entries(schema.properties || {})) value[name] = example(member, inner);
      return value;
    }
    case "array": return schema.prefixItems ? schema.prefixItems.map(item => example(item, inner))
                       : schema.minItems ? Array(schema.minItems).fill(example(schema.items, inner))
                       : [example(schema.items, inner)].filter(item => item !== null);
    case "string": return schema.format === "date-time" ? new Date().toISOString().slice(0, 19) + "Z"
                        : schema.format === "date" ? new Date().toISOString().slice(0, 10) : "";
    case "integer": case "number": return schema.minimum > 0 ? schema.minimum : 0;
    case "boolean": return false;
    default: return null;
  }
};

const schemaView = (schema, shown = []) => {
  const name = schema.$ref ? nameOf(schema.$ref) : "";
  const text = pretty(resolve(schema));
  const box = make("div", {}, make("div", { className: "dim", textContent: name }), make("pre", { textContent: text }));
  for (const [, next] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
    if (next !== name && !shown.includes(next)) {
      shown.push(next);
      box.append(schemaView({ $ref: "#/components/schemas/" + next }, [...shown, name]));
    }
  return box;
};

const fold = (title, content) => make("details", {}, make("summary", { textContent: title }), make("div", {}, content));

const credentials = {};
const credentialFields = () => {
  const box = make("div");
  for (const [name, scheme] of Object.entries((api.components || {}).securitySchemes || {})) {
    const field = make("input", { type: "password", autocomplete: "off", placeholder: "not sent" });
    field.addEventListener("input", () => {
      const header = scheme.type === "apiKey" ? scheme.name : "Authorization";
      credentials[name] = field.value ? [header, (scheme.type === "apiKey" ? "" : "Bearer ") + field.value] : undefined;
    });
    box.append(make("label", {}, name + " ", field), " ");
  }
  return box;
};

const quote = text => "'" + text.replaceAll("'", "'\\''") + "'";
const asCurl = (method, url, headers, body) =>
  ["curl -i -X " + method, ...Object.entries(headers).map(([n, v]) => "-H " + quote(n + ": " + v)),
   ...(body === undefined ? [] : ["--data-binary " + quote(body)]), quote(new URL(url, location.href).href)].join(" ");

const show = async (answer, out, began) => {
  const took = () => Math.round(performance.now() - began) + " ms";
  const head = `${answer.status} ${answer.statusText} · ${answer.headers.get("content-type") || "no body"}`;
  let text = "";
  const decoder = new TextDecoder();
  const reader = answer.body && answer.body.getReader();
  for (;;) { // a stream is shown as it comes
    const { value, done } = reader ? await reader.read() : { done: true };
    text += value ? decoder.decode(value, { stream: true }) : decoder.decode();
    out.textContent = `${head} · ${took()}\n\n${text}`;
    if (done) break;
  }
  if ((answer.headers.get("content-type") || "").startsWith("application/json"))
    try {
      JSON.parse(text); // only whether it is JSON
      out.textContent = `${head} · ${took()}\n\n${indented(text)}`;
    } catch { /* shown as it is */ }
};

const tryForm = (path, method, operation) => {
  const fields = (operation.parameters || []).map(parameter => {
    const schema = resolve(parameter.schema);
    const isList = schema.type === "array";
    const field = isList ? make("textarea", { placeholder: "one a line" })
                         : make("input", { placeholder: "default" in schema ? plain(schema.default) : "" });
    const values = () => isList ? field.value.split("\n").filter(line => line) : field.value ? [field.value] : [];
    return { parameter, field, values };
  });
  const content = ((operation.requestBody || {}).content) || {};
  const type = Object.keys(content)[0];
  const body = type === undefined ? null
             : make("textarea", { value: content[type].schema ? pretty(example(content[type].schema)) : "" });
  const request = () => {
    let target = path;
    const query = new URLSearchParams();
    const given = {};
    for (const { parameter, values } of fields)
      if (parameter.in === "header") { if (values().length) given[parameter.name] = values()[0]; }
      else if (parameter.in === "path") target = target.replace("{" + parameter.name + "}", encodeURIComponent(values()[0] || ""));
      else for (const value of values()) query.append(parameter.name, value);
    const headers = Object.fromEntries((operation.security || []).flatMap(Object.keys)
      .map(name => credentials[name]).filter(entry => entry));
    Object.assign(headers, given);
    if (body) headers["Content-Type"] = type === "*/*" ? "text/plain" : type;
    return [method.toUpperCase(), target + (query.size ? "?" + query : ""), headers, body ? body.value : undefined];
  };
  const out = make("pre", { hidden: true });
  out.setAttribute("aria-live", "polite");
  const send = make("button", { textContent: "Send" });
  send.addEventListener("click", async () => {
    const [verb, url, headers, text] = request();
    out.hidden = false;
    out.textContent = "…";
    const began = performance.now();
    try {
      await show(await fetch(url, { method: verb, headers, body: text }), out, began);
    } catch (error) {
      out.textContent = String(error);
    }
  });
  const curl = make("button", { textContent: "Show as curl" });
  curl.addEventListener("click", () => { out.hidden = false; out.textContent = asCurl(...request()); });
  const table = make("table", {}, ...fields.map(({ parameter, field }) => {
    const about = [parameter.in, resolve(parameter.schema).type, parameter.required ? "required" : "", parameter.description];
    field.setAttribute("aria-label", parameter.name);
    return make("tr", {}, make("td", { textContent: parameter.name }), make("td", {}, field),
                make("td", { className: "dim", textContent: about.filter(Boolean).join(", ") }));
  }));
  if (body) body.setAttribute("aria-label", "body");
  return make("div", {}, table, ...(body ? [make("h3", { textContent: "Body" }), body] : []), send, curl, out);
};

const operationView = (path, method, operation) => {
  const box = make("div", {}, tryForm(path, method, operation));
  const content = Object.entries(((operation.requestBody || {}).content) || {});
  for (const [type, { schema }] of content) if (schema) box.append(fold("Body: " + type, schemaView(schema)));
  for (const [status, response] of Object.entries(operation.responses))
    box.append(fold(`${status}: ${response.description}`, make("div", {}, ...Object.entries(response.content || {})
      .map(([type, { schema }]) => make("div", {}, make("div", { textContent: type }), schemaView(schema || {}))))));
  return make("details", { id: operation.operationId },
    make("summary", {}, make("span", { className: "method", textContent: method.toUpperCase() }),
         make("span", { className: "path", textContent: path }),
         make("span", { className: "dim", textContent: " " + (operation.summary || "") })), box);
};

const start = async () => {
  const main = document.querySelector("main");
  const source = "openapi.json" + location.search;
  try {
    api = read(await (await fetch(source)).text());
  } catch (error) {
    main.append("The document could not be read: " + error);
    return;
  }
  document.title = api.info.title;
  main.append(make("h1", { textContent: api.info.title }), make("a", { href: source, textContent: "openapi.json" }),
              credentialFields());
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(item)) {
      const group = (operation.tags || [""])[0];
      groups.set(group, [...(groups.get(group) || []), operationView(path, method, operation)]);
    }
  for (const [group, views] of groups) main.append(make("h2", { textContent: group }), ...views);
  if (groups.size === 0) main.append(make("p", { textContent: "No routes yet." }));
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted) wanted.open = true;
};
start();
)js";

// Of `style` and `script`; tests/unit/transport/http/docs_page_test.cpp says what they have to be.
constexpr std::string_view style_hash = "V6mxTyBsES1Xl5n8DuK/u7DLbMbcu3KbMH4CHGezJcs=";
constexpr std::string_view script_hash = "kKJU59x5nbmBYxofo34YgIn0Ux7Jy9uD+oLKj1+9N1w=";

} // namespace

response docs_page() {
  response page{200, {{"Content-Type", "text/html; charset=utf-8"}}, {}};
  page.body.append(head).append(style).append("</style>\n</head>\n<body>\n<main></main>\n<script>");
  page.body.append(script).append("</script>\n</body>\n</html>\n");
  std::string policy =
    "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; ";
  policy.append("frame-ancestors 'none'; style-src 'sha256-").append(style_hash);
  policy.append("'; script-src 'sha256-").append(script_hash).append("'");
  page.headers.add("Content-Security-Policy", std::move(policy));
  page.headers.add("X-Content-Type-Options", "nosniff");
  page.headers.add("Cache-Control", "no-cache");
  return page;
}

} // namespace sluice::http
