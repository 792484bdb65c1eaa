// Fetches status.json every 1.5 s and renders it. Text is inserted as text nodes only, never as markup.
import { legend, lines, spark, stacked } from "./charts.js";

const EVERY_MS = 1500, MAX_SHOWN_ERRORS = 3;
const $ = (id) => document.getElementById(id);

function h(tag, properties, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const text = (className, ...children) => h("span", { className }, ...children);
const quiet = (words) => h("p", { className: "quiet" }, words);
// Renders parts in `backticks` as code.
const rich = (words) => words.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
const pill = (words, kind) => text(`pill ${kind}`, words);

function bar(share, kind = "") {
  const inner = h("i", {});
  inner.style.width = `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
  return h("div", { className: `bar ${kind}` }, inner);
}

function table(heads, rows) {
  const cell = (tag) => ([className, content], index) => {
    const node = h(tag, { className }, ...[content].flat());
    node.dataset.label = heads[index][1];  // label of the cell on narrow screens, which have no header row
    return node;
  };
  return h("table", {},
    h("thead", {}, h("tr", {}, ...heads.map(cell("th")))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell("td"))))));
}

function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const ms = (value) => (value === null ? "–" : duration(value / 1000));
const number = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
const short = (value) => (value >= 10000 ? `${Math.round(value / 1000)}k` : `${Math.round(value * 10) / 10}`);

// The last tick is incomplete and not used for rates.
const finished = (values) => values.slice(0, -1);
const lately = (values) => values.slice(-3).reduce((sum, value) => sum + value, 0) / 3;

function problems(s) {
  const found = [];
  for (const worker of s.workers) {
    if (worker.state !== "serving") found.push(`Worker ${worker.host}:${worker.pid} is ${worker.state}.`);
  }
  for (const worker of s.workers) {
    if (worker.state === "serving" && worker.rest && !worker.rest_open) found.push(`Worker ${worker.host}:${worker.pid}: the REST port ${worker.rest} is closed.`);
  }
  found.push(...s.circuit.problems);
  for (const { bot, global, gateway } of s.bots) {
    const of = bot ? `Bot ${bot}: ` : "";
    if (global.blocked_for_s > 0) found.push(`${of}The global rate limit was exceeded; no calls are sent for ${duration(global.blocked_for_s)}.`);
    if (gateway.failure) found.push(`${of}${gateway.failure}`);
    else if (!gateway.ready) found.push(`${of}The gateway is not connected: calls work, but caches and events are not updated.`);
  }
  for (const one of s.failing) found.push(`${one.text} ${one.fix}`);
  return found;
}

function showVerdict(found, s) {
  const serving = s.workers.some((worker) => worker.state === "serving");
  const kind = !found.length ? "good" : serving ? "warn" : "bad";
  verdict(kind, { good: "all is well", warn: "needs attention", bad: "not serving" }[kind]);
  $("problems").hidden = !found.length;
  $("problems").className = `problems ${kind}`;
  $("problems").replaceChildren(...found.map((line) => h("p", {}, ...rich(line))));
}

function verdict(kind, words) {
  $("verdict").className = `pill ${kind}`;
  $("verdict").textContent = words;
  document.title = kind === "good" ? "Discord Proxy" : `(!) Discord Proxy: ${words}`;
}

function tile(name, value, unit, note, extra) {
  return h("div", { className: "tile" },
    h("div", { className: "name" }, name),
    h("div", { className: "value" }, value, unit ? h("small", {}, ` ${unit}`) : null),
    extra, h("div", { className: "note", title: note }, note));
}

function showTiles(s) {
  const t = s.ticks, rate = lately(finished(t.calls)) / t.every_s;
  const calls = finished(t.calls).reduce((a, b) => a + b, 0), failures = finished(t.failures).reduce((a, b) => a + b, 0);
  const latest = (values) => values.slice(-4).reverse().find((value) => value !== null) ?? null;
  const oldest = Math.max(0, ...s.buckets.map((bucket) => bucket.oldest_s));
  const used = s.circuit.invalid / s.circuit.invalid_limit, fullness = ({ global }) => global.taken / global.limit;
  const fullest = s.bots.reduce((a, b) => (fullness(b) > fullness(a) ? b : a));
  const level = (share) => (share > 0.8 ? "bad" : share > 0.5 ? "warn" : "");
  $("tiles").replaceChildren(
    tile("Calls", short(rate), "per second", `${calls} in five minutes`),
    tile("Failed", calls ? `${((100 * failures) / calls).toFixed(failures && failures / calls < 0.1 ? 1 : 0)}` : "0", "%", `${failures} in five minutes`),
    tile("Latency", ms(latest(t.p50_ms)), "median", `95 % within ${ms(latest(t.p95_ms))}`),
    tile("Waiting", String(s.waiting), s.waiting === 1 ? "call" : "calls", s.waiting ? `the oldest for ${duration(oldest)}` : "no call waits for a limit"),
    tile(fullest.bot ? `Global limit, ${fullest.bot}` : "Global limit", String(fullest.global.taken), `of ${fullest.global.limit} slots`,
      fullest.global.waiting ? `${fullest.global.waiting} wait for one` : "in the last second", bar(fullness(fullest))),
    tile("Invalid requests", String(s.circuit.invalid), `of ${s.circuit.invalid_limit}`, `circuit ${s.circuit.state.replace("_", " ")}`, bar(used, level(used))));
}

function showCharts(s) {
  const t = s.ticks, seconds = t.every_s * (t.calls.length - 1);
  const at = (i) => new Date(1000 * (t.last_at - t.every_s * (t.calls.length - 1 - i))).toLocaleTimeString();
  const series = s.apps.map(({ app, series: values }) => ({ name: app, values: finished(values).map((value) => value / t.every_s) }));
  const shown = series.reduce((sum, one) => one.values.map((value, i) => value + (sum[i] ?? 0)), []);
  const others = finished(t.calls).map((value, i) => value / t.every_s - (shown[i] ?? 0));
  if (others.some((value) => value > 0.001)) series.push({ name: "others", values: others, rest: true });
  const named = (i) => series.filter((one) => one.values[i] > 0).map((one) => `\n${one.name}: ${short(one.values[i])}`).join("");
  $("calls").replaceChildren(
    stacked(series, { label: "Calls per second by application", format: short, seconds, title: (i) => `${at(i)}${named(i) || "\nno calls"}` }),
    legend(series));
  const latencies = [{ name: "median", values: finished(t.p50_ms) }, { name: "95 %", values: finished(t.p95_ms) }];
  $("latency").replaceChildren(
    lines(latencies, { label: "Latency of calls", format: ms, seconds, title: (i) => `${at(i)}\nmedian ${ms(t.p50_ms[i])}\n95 % ${ms(t.p95_ms[i])}` }),
    legend(latencies, "line"));
}

// Fills a collapsible section, or hides it. Its open state is not changed.
function fold(id, summary, content, place) {
  $(id).hidden = !summary;
  $(id).firstElementChild.textContent = summary;
  $(place).replaceChildren(...content);
}

function bucketTable(buckets) {
  const rows = buckets.map((bucket) => {
    const known = bucket.limit !== null, share = known ? bucket.remaining / bucket.limit : 0;
    const left = known ? [`${bucket.remaining} of ${bucket.limit}`, bar(share, share === 0 ? "bad" : "")] : [text("quiet", "unknown")];
    const ids = [bucket.bot && `bot ${bucket.bot}`, bucket.major, bucket.bucket && `bucket ${bucket.bucket}`].filter(Boolean).join(" · ");
    return [
      ["wide", [bucket.route, text("sub", bucket.name ? text("name-of", bucket.name) : null, bucket.name && ids ? " · " : "", ids)]],
      ["left", left],
      ["number optional", bucket.reset_after_s ? duration(bucket.reset_after_s) : "–"],
      ["number optional", String(bucket.granted)],
      ["number", bucket.waiting ? h("strong", {}, String(bucket.waiting)) : "0"],
      ["number", bucket.waiting ? duration(bucket.oldest_s) : "–"]];
  });
  const heads = [["", "route"], ["", "remaining"], ["number optional", "resets in"], ["number optional", "in flight"], ["number", "waiting"], ["number", "oldest"]];
  const made = table(heads, rows);
  made.className = "buckets";
  return made;
}

function showBuckets(s) {
  const busy = s.buckets.filter((bucket) => bucket.waiting || bucket.granted), idle = s.buckets.filter((bucket) => !busy.includes(bucket));
  const more = s.left_out.buckets, rest = more ? [h("p", { className: "quiet after" }, `and ${more} more`)] : [];
  $("buckets").replaceChildren(
    busy.length ? bucketTable(busy) : quiet(s.buckets.length ? "No calls are waiting or in flight." : "No calls were sent to Discord recently."),
    ...(idle.length ? [] : rest));
  fold("idle-fold", idle.length ? number(idle.length + more, "idle bucket") : "", idle.length ? [bucketTable(idle), ...rest] : [], "idle");
}

function showWorkers(s) {
  const rows = s.workers.map((worker) => [
    ["wide", [`${worker.host} #${worker.number}`, text("sub", `pid ${worker.pid} · ${worker.version} · up ${duration(s.at - worker.started_at)}`)]],
    ["", pill(worker.state, worker.state === "serving" ? "good" : worker.state === "draining" ? "warn" : "bad")],
    ["number", String(worker.in_progress)], ["number", String(worker.waiting)], ["number optional", `${Math.round(worker.rss_mib)} MiB`]]);
  const doors = Object.values(s.doors).reduce((a, b) => a + b, 0), rest = s.rest && [
    `REST port ${s.rest.addresses.join(", ")}, open on ${s.rest.open} of ${number(s.rest.workers, "worker")}`,
    `${s.doors.http ?? 0} of ${number(doors, "call")} in five minutes`].join(" · ");
  $("workers").replaceChildren(rows.length
    ? table([["", "worker"], ["", ""], ["number", "calls"], ["number", "waiting"], ["number optional", "memory"]], rows)
    : quiet("No worker has published its status for five seconds."),
  ...(rest ? [h("p", { className: "quiet after" }, rest)] : []));
}

function showGateway(s) {
  const rows = s.bots.flatMap(({ bot, gateway }) => gateway.shards.map((shard) => [
    ["wide", [`${bot ? `${bot}, ` : ""}shard ${shard.shard}`, text("sub", [shard.held ? `led by ${shard.leader}` : "no leader", shard.reason].filter(Boolean).join(" · "))]],
    ["", pill(shard.held ? shard.state : "no leader", shard.held && shard.state === "ready" ? "good" : "warn")],
    ["number", shard.latency_ms === undefined ? "–" : `${shard.latency_ms} ms`],
    ["number", String(shard.events ?? 0)],
    ["number optional", `${shard.resumes ?? 0} / ${shard.identifies ?? 0}`]]));
  const notes = s.bots.map(({ bot, gateway }) => h("p", { className: "quiet after" }, [
    `${bot ? `${bot}: ` : ""}${number(gateway.guilds, "guild")}, ${number(gateway.channels, "channel")} in the cache`,
    gateway.identifies_left === null ? "" : `${gateway.identifies_left} new sessions left today`,
    gateway.shard_count > gateway.shards.length ? `${gateway.shard_count - gateway.shards.length} more shards` : "",
  ].filter(Boolean).join(" · ")));
  $("gateway").replaceChildren(
    table([["", "connection"], ["", ""], ["number", "latency"], ["number", "events"], ["number optional", "resumed / new"]], rows), ...notes);
}

function showApps(s) {
  const rows = s.apps.map((one, index) => [
    ["wide", one.app],
    ["spark", spark(finished(one.series), index, `calls of ${one.app}`)],
    ["number", String(one.calls)],
    ["number", one.failures ? h("strong", {}, String(one.failures)) : "0"]]);
  const more = s.left_out;
  if (more.apps) {
    rows.push([["wide quiet", `and ${more.apps} more`], ["spark", ""], ["number", String(more.calls)],
      ["number", more.failures ? h("strong", {}, String(more.failures)) : "0"]]);
  }
  $("apps").replaceChildren(rows.length
    ? table([["", "application"], ["", ""], ["number", "calls"], ["number", "failed"]], rows)
    : quiet("No calls from applications."));
}

const SCOPES = {
  user: "of a bucket: its limit changed, or another program uses this token",
  shared: "of a resource shared by many bots; does not count as invalid request",
  global: "of the bot: requests per second",
  cloudflare: "of Discord's edge: the IP address is blocked",
};

function showLimited(s) {
  const most = Math.max(1, ...Object.values(s.limited)), list = h("dl", { className: "scopes" });
  for (const [scope, count] of Object.entries(s.limited)) {
    list.append(h("dt", {}, scope), h("dd", {}, bar(count / most, scope === "shared" ? "" : "warn")), h("dd", { className: "number" }, String(count)),
      h("dd", { className: "quiet" }, SCOPES[scope] ?? ""));
  }
  $("limited-card").hidden = !list.children.length;
  $("limited").replaceChildren(list);
}

function showErrors(s) {
  const item = (error) => {
    const answer = [error.status, error.reason === "DISCORD_ERROR" ? "" : error.reason, error.http_status && `HTTP ${error.http_status}`, error.code && `code ${error.code}`];
    const kind = ["INTERNAL", "UNAVAILABLE", "UNAUTHENTICATED", "UNKNOWN"].includes(error.status) ? "bad" : "warn";
    return h("li", {},
      h("div", { className: "head" }, h("strong", {}, error.rpc), pill(answer.filter(Boolean).join(" · "), kind),
        text("quiet", `${number(error.count, "time")} · ${duration(error.ago_s)} ago · ${error.app}`)),
      h("p", {}, ...rich(`${error.meaning}. `), text("quiet", ...rich(error.fix))),
      text("sub", `last request ID ${error.request_id}`));
  };
  const list = (errors) => h("ul", { className: "errors" }, ...errors.map(item));
  const others = s.errors.slice(MAX_SHOWN_ERRORS), more = s.left_out.errors;
  const rest = more ? [h("p", { className: "quiet after" }, `and ${more} more`)] : [];
  $("errors-card").hidden = !s.errors.length;
  $("errors").replaceChildren(list(s.errors.slice(0, MAX_SHOWN_ERRORS)));
  fold("errors-fold", others.length ? `and ${number(others.length + more, "other kind")} of error` : "", [list(others), ...rest], "more-errors");
}

function show(s) {
  showVerdict(problems(s), s);
  for (const part of [showTiles, showCharts, showBuckets, showWorkers, showGateway, showApps, showLimited, showErrors]) part(s);
  $("updated").textContent = `version ${s.version} · ${new Date(1000 * s.at).toLocaleTimeString()}`;
}

async function get(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(30000) });
  const found = await response.json().catch(() => ({ problem: `The worker returned ${response.status}.` }));
  if (!response.ok) throw new Error(found.problem ?? `The worker returned ${response.status}.`);
  return found;
}

async function refresh() {
  try {
    show(await get("status.json"));
  } catch (error) {
    verdict("bad", "no response");
    $("problems").hidden = false;
    $("problems").className = "problems bad";
    $("problems").replaceChildren(h("p", {}, error instanceof TypeError ? "The worker does not respond." : error.message));
  }
  document.body.dataset.rounds = Number(document.body.dataset.rounds ?? 0) + 1;
}

async function keepFresh() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

async function check() {
  $("check").disabled = true;
  try {
    const findings = await get("doctor.json");
    const rows = findings.map(({ subject, good, text: found, fix }) => [
      ["", pill(good ? "ok" : "problem", good ? "good" : "bad")], ["", h("strong", {}, subject)], ["wide", [...rich(found), fix ? text("sub", ...rich(fix)) : null]]]);
    $("findings").replaceChildren(table([["", ""], ["", "check"], ["", "finding"]], rows));
  } catch (error) {
    $("findings").replaceChildren(quiet(error.message));
  }
  $("check").disabled = false;
}

$("check").addEventListener("click", check);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
keepFresh();
