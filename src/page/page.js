// The status page: asks pgpool twice a second what is so, and shows it.
//
// What is shown is changed in place, so that a button keeps its focus and a screen reader hears
// only of what is new. Nothing that was received becomes HTML: all of it is set as text. The token
// of a login is kept for this tab alone (sessionStorage), and sent as a header with each request.
"use strict";

const NOW_MS = 500;       // between two looks at what is so,
const SLOW_MS = 5000;     // at history, waiters and sessions, and while nobody looks at the page
const TIMEOUT_MS = 5000;  // of a request
const STATEMENTS = 20;    // that are shown
const TOKEN = "pgpool-token";
const THEME = "pgpool-theme";
const $ = id => document.getElementById(id);

const page = {
  token: sessionStorage.getItem(TOKEN), role: "", looks: false, round: 0,
  samples: [], next: 0, everyMs: SLOW_MS, life: "", fields: "", eventsVersion: -1, lastSlow: 0,
  answeredMs: 0, orders: new Map(), plots: [], now: null,
  underWay: new Set(),  // what was asked, and has not been answered
};

// ---- asking ----

class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

async function ask(path, {method = "GET", authorization} = {}) {
  const headers = {};
  if (authorization || page.token)
    headers.Authorization = authorization || `Bearer ${page.token}`;
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), TIMEOUT_MS);
  if (method === "GET")
    page.underWay.add(control);
  try {
    const answer = await fetch(path, {
      method, headers, cache: "no-store", credentials: "omit", redirect: "error",
      signal: control.signal});
    if (!answer.ok)
      throw new Refused(answer.status, (await answer.text()).trim());
    return answer.status === 204 ? null : await answer.json();
  } finally {
    clearTimeout(timer);
    page.underWay.delete(control);
  }
}

// Nobody waits for what was asked by who was logged in before. Commands go on.
function giveUp() {
  for (const control of page.underWay)
    control.abort();
}

function setToken(token) {
  page.token = token;
  if (token)
    sessionStorage.setItem(TOKEN, token);
  else
    sessionStorage.removeItem(TOKEN);
}

// ---- words and numbers ----

function text(element, words) {
  if (element.textContent !== words)
    element.textContent = words;
}

function show(element, on) {
  if (element.hidden === on)
    element.hidden = !on;
}

function count(value) {
  if (value >= 1e6)
    return (value / 1e6).toFixed(value >= 1e7 ? 0 : 1) + "M";
  if (value >= 1e4)
    return (value / 1e3).toFixed(value >= 1e5 ? 0 : 1) + "k";
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

function duration(ms) {
  if (ms >= 60000)
    return span(ms);
  if (ms >= 1000)
    return (ms / 1000).toFixed(ms >= 10000 ? 0 : 1) + " s";
  return ms >= 10 || ms === 0 ? Math.round(ms) + " ms" : ms.toFixed(ms >= 1 ? 1 : 2) + " ms";
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let n = 0;
  for (; value >= 1000 && n < units.length - 1; n++)
    value /= 1024;
  return (n > 0 && value < 10 ? value.toFixed(1) : Math.round(value)) + " " + units[n];
}

function span(ms) {
  const minutes = Math.floor(ms / 60000), hours = Math.floor(minutes / 60);
  if (minutes < 1)
    return `${Math.floor(ms / 1000)} s`;
  if (hours < 1)
    return `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

const percent = value => `${value.toFixed(value > 0 && value < 10 ? 1 : 0)} %`;

function moment(ms) {
  const at = new Date(ms);
  const clock = at.toLocaleTimeString([], {hour12: false});
  return at.toDateString() === new Date().toDateString() ? clock
    : `${at.toLocaleDateString()} ${clock}`;
}

// ---- tables ----

// Rows by key, cells by column: [{title, style, fill(cell, row)}]. On a phone, where rows are shown
// as cards, the roles say that it is a table all the same.
class Table {
  constructor(place, {columns, label, none}) {
    this.place = place;
    this.columns = columns;
    this.none = Plot.html("p", "none", none);
    this.rows = new Map();
    this.table = Plot.html("table", "table");
    this.body = Plot.html("tbody");
    const head = Plot.html("thead"), line = Plot.html("tr");
    this.table.setAttribute("aria-label", label);
    Table.role(this.table, "table");
    Table.role(head, "rowgroup");
    Table.role(this.body, "rowgroup");
    Table.role(line, "row");
    for (const column of columns) {
      const cell = Plot.html("th", "", column.title);
      cell.scope = "col";
      Table.role(cell, "columnheader");
      line.append(cell);
      column.head = cell;
    }
    head.append(line);
    this.table.append(head, this.body);
    place.replaceChildren(this.table, this.none);
  }

  static role(element, role) {
    element.setAttribute("role", role);
  }

  add(key) {
    const line = Plot.html("tr");
    Table.role(line, "row");
    for (const column of this.columns) {
      const cell = Plot.html("td", column.style || "");
      cell.dataset.label = column.title;
      Table.role(cell, "cell");
      line.append(cell);
    }
    this.rows.set(key, line);
    return line;
  }

  // key: what a row is known by.
  fill(list, key) {
    const keys = new Set(list.map(key));
    for (const [gone, line] of this.rows) {
      if (keys.has(gone))
        continue;
      line.remove();
      this.rows.delete(gone);
    }
    list.forEach((row, n) => {
      const line = this.rows.get(key(row)) || this.add(key(row));
      if (this.body.children[n] !== line)
        this.body.insertBefore(line, this.body.children[n] || null);
      this.columns.forEach((column, at) => column.fill(line.children[at], row));
    });
    show(this.table, list.length > 0);
    show(this.none, list.length === 0);
  }

  showColumn(title, on) {
    const at = this.columns.findIndex(column => column.title === title);
    show(this.columns[at].head, on);
    for (const line of this.rows.values())
      show(line.children[at], on);
  }
}

const plain = name => (cell, row) => text(cell, row[name] || "–");

// A line of its own below the first one.
function two(cell, first, second) {
  if (!cell.firstElementChild)
    cell.append(Plot.html("span"), Plot.html("span", "sub"));
  text(cell.children[0], first);
  text(cell.children[1], second);
  show(cell.children[1], second !== "");
}

// ---- nodes ----

const STATES = {up: "good", suspect: "warn", recovering: "warn", quarantined: "warn",
                rejoining: "warn", unknown: "", waiting: "", unused: "", maintenance: "",
                quarantine: "warn", down: "bad", fenced: "bad", rogue: "bad"};

const COMMANDS = {
  attach: {
    word: "Attach", title: node => `Attach ${node}?`,
    words: "It is used again as soon as it answers and streams from the primary."},
  detach: {
    word: "Detach", title: node => `Detach ${node}?`,
    words: "Sessions lose their connections to it, and nothing new is sent there until it is "
      + "attached again. If it is the primary, another node is promoted in its place."},
  promote: {
    word: "Promote", title: node => `Promote ${node}?`,
    words: "There is no primary now: this node becomes it. What others have received and it has "
      + "not is lost."},
  switchover: {
    word: "Promote", title: node => `Make ${node} the primary?`,
    words: "Writes wait until it has received everything; the primary of now then follows it as "
      + "a standby."},
  recover: {
    word: "Rebuild", title: node => `Rebuild ${node}?`,
    words: "Its data is replaced by a copy of the primary's, and it becomes a standby of that. "
      + "What it has alone is lost."},
  pause: {
    word: "Pause all", title: () => "Pause all databases?",
    words: "Clients stay connected and wait: no statement is begun until you resume."},
  resume: {
    word: "Resume all", title: () => "Resume all databases?", words: "Clients that wait go on."},
};

const nodeName = row => `node ${row.node_id}`;

// What is known of a node in one object.
function joinNodes(now) {
  const by = name => new Map(now[name].map(row => [row.node_id, row]));
  const replication = by("pool_replication"), judged = by("pool_node_states");
  const drained = new Set(now.pool_holds.filter(row => row.kind === "drained node")
    .map(row => row.name));
  return now.pool_nodes.map(row => ({
    ...row, drained: drained.has(row.node_id), judged: judged.get(row.node_id) || null,
    replication: replication.get(row.node_id) || {},
    primary: Number(row.node_id) === now.primary_id, hasPrimary: now.primary_id >= 0}));
}

const stateOf = row => row.judged ? row.judged.state : row.status;

function fillState(cell, row) {
  const state = stateOf(row);
  const silent = row.pg_status === "down" && state !== "down";
  const reason = state === "up" && !silent ? "" :
    [row.judged?.reason, silent ? row.replication.last_error : "", row.judged?.advice]
      .filter(Boolean).join("; ");
  if (!cell.firstElementChild)
    cell.append(Plot.html("span", "state"), Plot.html("span", "sub"));
  const badge = cell.firstElementChild;
  const style = `state ${silent ? "bad" : STATES[state] ?? ""}`.trim();
  if (badge.className !== style)
    badge.className = style;
  text(badge, state + (silent ? ", does not answer" : "") + (row.drained ? ", drained" : ""));
  text(cell.children[1], reason);
  show(cell.children[1], reason !== "");
}

function fillLag(cell, row) {
  const of = row.replication;
  if (row.primary || !of.delay_ms)
    two(cell, "–", "");
  else
    two(cell, duration(Number(of.delay_ms)), bytes(Number(of.delay_bytes)));
}

function fillFresh(cell, row) {
  const age = row.replication.fresh_age_ms;
  if (row.primary || !age)
    text(cell, row.primary ? "always" : "not known");
  else
    text(cell, Number(age) < 1000 ? "now" : `${duration(Number(age))} ago`);
}

function offered(row) {
  const state = stateOf(row);
  const used = ["up", "suspect", "recovering", "quarantined"].includes(state);
  return {
    detach: used,
    attach: ["maintenance", "down", "fenced", "quarantined", "rejoining"].includes(state),
    switchover: state === "up" && row.hasPrimary && !row.primary,
    promote: state === "up" && !row.hasPrimary,
    recover: row.hasPrimary && !row.primary,
  };
}

function fillButtons(cell, row) {
  let box = cell.firstElementChild;
  if (!box) {
    box = Plot.html("div", "buttons");
    for (const name of ["attach", "detach", "switchover", "promote", "recover"])
      box.append(commandButton(name, row));
    cell.append(box);
  }
  const may = offered(row);
  for (const button of box.children)
    show(button, row.judged !== null && may[button.dataset.command]);
}

function commandButton(name, row) {
  const button = Plot.html("button", "", COMMANDS[name].word);
  button.type = "button";
  button.dataset.command = name;
  button.setAttribute("aria-label", `${COMMANDS[name].word} ${nodeName(row)}`);
  button.addEventListener("click", () => confirmCommand(name, row));
  return button;
}

const nodes = new Table($("nodes"), {
  label: "Nodes", none: "no node is configured",
  columns: [
    {title: "Node", style: "short", fill: (cell, row) =>
      two(cell, row.node_id, `${row.hostname}:${row.port}`)},
    {title: "Role", style: "short", fill: (cell, row) =>
      two(cell, row.role, row.primary ? "" : row.replication.replication_sync_state || "")},
    {title: "State", style: "long", fill: fillState},
    {title: "Since", style: "short", fill: plain("last_status_change")},
    {title: "Lag", style: "number", fill: fillLag},
    {title: "Fresh as of", style: "number", fill: fillFresh},
    {title: "Reads", style: "number", fill: (cell, row) =>
      two(cell, count(Number(row.select_cnt)), `weight ${percent(100 * Number(row.lb_weight))}`)},
    {title: "Commands", fill: fillButtons},
  ]});

// ---- other tables ----

const pgpools = new Table($("pgpools"), {
  label: "Pgpools", none: "none",
  columns: [
    {title: "Pgpool", fill: (cell, row) =>
      two(cell, row.node_id + (row.is_self === "YES" ? " (this one)" : ""),
          row.name)},
    {title: "Address", fill: (cell, row) => text(cell, `${row.hostname}:${row.pgpool_port}`)},
    {title: "State", fill: plain("state_name")},
    {title: "Quorum", fill: plain("quorum")},
    {title: "Difference", fill: plain("difference")},
  ]});

const holds = new Table($("holds"), {
  label: "Paused and drained", none: "nothing is on hold",
  columns: [
    {title: "What", fill: (cell, row) =>
      text(cell, row.name ? `${row.kind} ${row.name}` : "all databases")},
    {title: "Since", fill: plain("since")},
    {title: "Clients waiting", style: "number", fill: plain("waiting")},
    {title: "Connections left", style: "number", fill: plain("connections")},
  ]});

const waiters = new Table($("waiters"), {
  label: "Waiting for a server connection", none: "nobody waits",
  columns: [
    {title: "Database", fill: plain("database")},
    {title: "User", fill: plain("username")},
    {title: "Node", fill: plain("node_id")},
    {title: "Clients", style: "number", fill: plain("waiting")},
    {title: "Longest", style: "number", fill: (cell, row) =>
      text(cell, duration(Number(row.longest_wait_ms)))},
  ]});

const pins = new Table($("pins"), {
  label: "Sessions that keep their connection", none: "no session is pinned",
  columns: [
    {title: "Session", fill: (cell, row) =>
      two(cell, `${row.username} on ${row.database}`,
          [row.application_name, row.client_host].filter(Boolean).join(", "))},
    {title: "Status", fill: plain("status")},
    {title: "Why", style: "long", fill: plain("keeps")},
  ]});

const time = name => (cell, row) => text(cell, duration(Number(row[name])));

// In the order of the view: those first that have taken the most time in all.
const statements = new Table($("statements"), {
  label: "Statements", none: "no statement was counted",
  columns: [
    {title: "Statement", style: "long statement", fill: (cell, row) =>
      two(cell, row.statement, `${row.username} on ${row.database}`)},
    {title: "Calls", fill: (cell, row) =>
      two(cell, row.calls, row.errors === "0" ? "" : `${row.errors} failed`)},
    {title: "Rows", fill: plain("rows")},
    {title: "Total", fill: time("total_ms")},
    {title: "Mean", fill: time("mean_ms")},
    {title: "50 %", fill: time("p50_ms")},
    {title: "99 %", fill: time("p99_ms")},
    {title: "Longest", fill: time("max_ms")},
    {title: "Where", fill: (cell, row) => two(cell, row.nodes || "–", row.reasons || "")},
  ]});

function fillStatements(list) {
  show($("statements-section"), true);
  statements.fill(list.slice(0, STATEMENTS),
    row => `${row.fingerprint}/${row.database}/${row.username}`);
}

// ---- tiles ----

const TILES = {
  traffic: "Statements", latency: "Latency, 99 %", clients: "Clients", waiting: "Waiting clients",
  connections: "Server connections", cache: "Cache hits",
};

function makeTiles() {
  for (const [name, title] of Object.entries(TILES)) {
    const tile = Plot.html("div", "tile"), about = Plot.html("dd", "more");
    const value = Plot.html("dd", "value", "–"), meter = document.createElement("meter");
    tile.id = `tile-${name}`;
    meter.hidden = true;
    meter.setAttribute("aria-label", `${title}, of as many as there may be`);
    about.append(Plot.html("span"), meter);
    tile.append(Plot.html("dt", "", title), value, about);
    $("tiles").append(tile);
  }
}

function fillTile(name, value, more, {used, limit, bad} = {}) {
  const tile = $(`tile-${name}`), meter = tile.querySelector("meter");
  text(tile.querySelector(".value"), value);
  tile.querySelector(".value").classList.toggle("is-bad", Boolean(bad));
  text(tile.querySelector(".more span"), more);
  show(meter, limit > 0);
  if (limit > 0) {
    meter.max = limit;
    meter.high = 0.8 * limit;
    meter.optimum = 0;
    meter.value = used;
  }
}

const hitRatio = one => one.hits + one.misses > 0 ? 100 * one.hits / (one.hits + one.misses) : null;

function fillTiles(now) {
  const is = now.present, last = page.samples[page.samples.length - 1];
  fillTile("traffic", last ? count(last.reads + last.writes) + "/s" : "–",
           last ? `${count(last.reads)} reads, ${count(last.writes)} writes` : "no sample yet");
  fillTile("latency", last ? duration(last.p99_ms) : "–",
           last ? `half of them within ${duration(last.p50_ms)}` : "no sample yet");
  fillTile("clients", count(is.clients), `of ${count(is.clients_limit)}, ${is.active} active`,
           {used: is.clients, limit: is.clients_limit});
  fillTile("waiting", count(is.waiting), is.on_hold > 0 ? `${count(is.on_hold)} on hold` :
    "for a server connection", {bad: is.waiting > 0});
  fillTile("connections", count(is.busy + is.idle),
           is.connections_limit > 0 ? `busiest node: ${is.most} of ${is.connections_limit}`
             : `${is.busy} in use, ${is.idle} idle`,
           {used: is.most, limit: is.connections_limit});
  show($("tile-cache"), now.cached);
  const ratio = last ? hitRatio(last) : null;
  fillTile("cache", ratio === null ? "–" : percent(ratio),
           last ? `${count(last.hits)} hits/s, ${count(last.misses)} misses/s` : "no sample yet");
}

// ---- plots ----

function makePlots(nodeIds, cached) {
  const line = (name, field) => ({name, value: sample => sample[field]});
  const rate = "per second", list = [
    {title: "Traffic", unit: rate, format: count,
     series: [line("reads", "reads"), line("writes", "writes"), line("errors", "errors")]},
    {title: "Latency", unit: "of statements", format: duration,
     series: [line("50 %", "p50_ms"), line("90 %", "p90_ms"), line("99 %", "p99_ms")]},
    {title: "Clients", unit: "at once", format: count,
     series: [line("connected", "clients"), line("active", "active"), line("waiting", "waiting"),
              line("on hold", "on_hold")]},
    {title: "Server connections", unit: "at once", format: count,
     series: [line("in use", "busy"), line("idle", "idle")]},
    {title: "Statements by node", unit: rate, format: count,
     series: nodeIds.map(id => line(`node ${id}`, `node${id}`))},
    {title: "Replication lag", unit: "by node", format: duration,
     series: nodeIds.map(id => line(`node ${id}`, `lag${id}_ms`))},
  ];
  if (cached)
    list.push({title: "Cache hits", unit: "of what was looked for", format: percent,
               series: [{name: "hits", value: hitRatio}]});
  page.plots = list.map(one => new Plot(one));
  $("plots").replaceChildren(...page.plots.map(plot => plot.figure));
}

// Nodes that are configured now; the history has a column for all numbers below the last.
function drawPlots(now) {
  const ids = now.pool_nodes.map(row => row.node_id)
    .filter(id => page.fields.includes(`,lag${id}_`));
  const key = `${ids};${now.cached}`;
  if (page.plotsOf !== key)
    makePlots(ids, now.cached);
  page.plotsOf = key;
  for (const plot of page.plots)
    plot.draw(page.samples, now.now_ms, page.everyMs);
}

// Another life of the process that keeps it: what was drawn is not its own.
async function askHistory(now) {
  if (page.life !== now.life)
    page.next = 0;
  page.life = now.life;
  const got = await ask(`/page/history/${page.next}`);
  if (got.from !== page.next || page.fields !== got.fields.join())
    page.samples = [];
  page.fields = got.fields.join();
  page.everyMs = got.every_ms;
  const fresh = got.samples.map(
    values => Object.fromEntries(got.fields.map((name, n) => [name, values[n]])));
  page.samples = [...page.samples, ...fresh].slice(-got.kept);
  page.next = got.next;
}

// ---- events and commands ----

const SERIOUS = /refused|failed|missing|doubt|loss|no candidate|alarm$|given up/;

async function askEvents(version) {
  const list = await ask("/page/events");
  list.sort((a, b) => b.at_ms - a.at_ms);
  $("events").replaceChildren(...list.map(one => {
    const item = Plot.html("li"), time = Plot.html("time", "", moment(one.at_ms));
    time.dateTime = new Date(one.at_ms).toISOString();
    const what = Plot.html("b", SERIOUS.test(one.event) ? "bad" : "", one.event);
    const node = one.node_id === null || one.text.startsWith("node ") ? ""
      : `node ${one.node_id}: `;
    item.append(time, what, node + one.text);
    return item;
  }));
  page.eventsVersion = version;
}

function orderItem(order) {
  const item = Plot.html("li"), time = Plot.html("time", "", moment(order.began_ms));
  const node = order.node_id >= 0 ? ` node ${order.node_id}` : "";
  const style = {done: "good", failed: "bad"}[order.state] || "warn";
  const lines = Plot.html("ol", "lines");
  const took = (order.ended_ms || page.now.now_ms) - order.began_ms;
  time.dateTime = new Date(order.began_ms).toISOString();
  item.append(time, Plot.html("b", "", COMMANDS[order.command].word + node),
              Plot.html("span", `state ${style}`, order.state),
              Plot.html("span", "faint", ` by ${order.user}, ${duration(Math.max(took, 0))}`),
              lines);
  lines.append(...order.lines.map(line => Plot.html("li", "", line)));
  item.dataset.state = order.state;
  return item;
}

// The newest first; an item is made anew only when something in it is.
function fillOrders(list) {
  const before = page.orders;
  page.orders = new Map();
  list.sort((a, b) => b.number - a.number).forEach((order, n) => {
    const key = `${order.began_ms}/${order.number}`;
    const words = JSON.stringify(order);
    const old = before.get(key);
    const item = old?.words === words ? old.item : orderItem(order);
    if (old && old.item !== item)
      old.item.replaceWith(item);
    if ($("orders").children[n] !== item)
      $("orders").insertBefore(item, $("orders").children[n] || null);
    page.orders.set(key, {words, item});
    before.delete(key);
  });
  for (const old of before.values())
    old.item.remove();
  show($("orders-section"), list.length > 0);
}

// ---- all of it ----

function fillBanner(id, style, words) {
  let banner = $(id);
  if (!banner) {
    banner = Plot.html("p");
    banner.id = id;
    $("banners").append(banner);
  }
  banner.className = `banner ${style}`;
  text(banner, words);
  show(banner, words !== "");
}

function fillHead(now) {
  const ready = $("ready"), style = `state ${now.not_ready ? "bad" : "good"}`;
  if (ready.className !== style)
    ready.className = style;
  text(ready, now.not_ready ? "not ready" : "ready");
  text($("about"), `${now.version}, ${now.role}, up for ${span(now.now_ms - now.started_ms)}`);
  fillBanner("banner-ready", "bad", now.not_ready ? `Not ready: ${now.not_ready}.` : "");
  fillBanner("banner-paused", "warn", now.paused ? "All databases are paused: clients wait." : "");
  const down = now.pool_nodes.filter(row => row.status === "down" || row.pg_status === "down");
  const fault = now.not_ready ? "not ready" : down.length > 0 ? `${down.length} down` : "";
  document.title = fault ? `${fault} – pgpool` : "pgpool";
  text($("clock"), `As of ${moment(now.now_ms)}`);
}

function fillNow(now) {
  page.now = now;
  fillHead(now);
  fillTiles(now);
  nodes.fill(joinNodes(now), row => row.node_id);
  nodes.showColumn("Commands", page.role === "admin");
  fillOrders(now.orders);
  show($("pgpools-section"), Boolean(now.pool_watchdog?.length));
  pgpools.fill(now.pool_watchdog || [], row => row.node_id);
  holds.fill(now.pool_holds, row => `${row.kind}/${row.name}`);
  show($("holds-tools"), page.role === "admin");
  show($("pause"), !now.paused);
  show($("resume"), now.paused || now.pool_holds.some(row => row.kind.startsWith("paused")));
}

async function askSlow(now) {
  const [pinned, waiting, counted] = await Promise.all([
    ask("/page/pins"), ask("/page/waiters"), now.statements ? ask("/page/statements") : null,
    askHistory(now)]);
  pins.fill(pinned, row => `${row.pool_pid}/${row.session}`);
  waiters.fill(waiting, row => `${row.pool_pid}/${row.database}/${row.username}/${row.node_id}`);
  if (counted)
    fillStatements(counted);
  fillTiles(now);
  drawPlots(now);
}

async function look() {
  const now = await ask("/page/now");
  page.answeredMs = Date.now();
  fillBanner("banner-silent", "bad", "");
  fillNow(now);
  if (page.eventsVersion !== now.events_version || page.life !== now.life)
    await askEvents(now.events_version);
  if (page.life !== now.life || Date.now() - page.lastSlow >= SLOW_MS - NOW_MS / 2) {
    page.lastSlow = Date.now();
    await askSlow(now);
  }
}

// One chain at a time: who begins anew ends the one before.
async function run(round) {
  while (round === page.round && page.looks) {
    try {
      await look();
    } catch (error) {
      if (round !== page.round)
        return;
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
        begin();
        return;
      }
      fillBanner("banner-silent", "bad", page.answeredMs
        ? `No answer since ${moment(page.answeredMs)}; trying again.` : "No answer; trying again.");
    }
    await new Promise(resolve => setTimeout(resolve, document.hidden ? SLOW_MS : NOW_MS));
  }
}

// Who are we here, and what may we see?
async function begin() {
  const round = ++page.round;
  giveUp();
  let who = null;
  try {
    who = await ask("/page/who");
    if (page.token && who.role === "") {
      setToken(null);
      who = await ask("/page/who");
    }
  } catch {
    fillBanner("banner-silent", "bad", "No answer; trying again.");
    setTimeout(() => round === page.round && begin(), SLOW_MS);
    return;
  }
  if (round !== page.round)
    return;
  fillBanner("banner-silent", "bad", "");
  page.looks = who.may_look;
  page.role = who.role;
  page.lastSlow = 0;
  page.eventsVersion = -1;
  show($("content"), who.may_look);
  show($("welcome"), !who.may_look);
  text($("why"), who.why);
  show($("welcome-login"), who.may_log_in);
  show($("login"), who.may_log_in && who.role === "" && who.may_look);
  show($("logout"), who.role !== "");
  text($("user"), who.role === "" ? "" : `${who.user}, ${who.role}`);
  run(round);
}

// ---- dialogs ----

function basic(user, password) {
  const raw = new TextEncoder().encode(`${user}:${password}`);
  return "Basic " + btoa(String.fromCharCode(...raw));
}

function openLogin() {
  text($("login-fault"), "");
  $("login-password").value = "";
  $("login-dialog").showModal();
}

async function sendLogin(event) {
  event.preventDefault();
  $("login-send").disabled = true;
  text($("login-fault"), "");
  try {
    const got = await ask("/page/login", {
      method: "POST", authorization: basic($("login-user").value, $("login-password").value)});
    setToken(got.token);
    $("login-dialog").close();
    begin();
  } catch (error) {
    text($("login-fault"), error instanceof Refused ? error.message : "pgpool does not answer");
  }
  $("login-password").value = "";
  $("login-send").disabled = false;
}

async function logOut() {
  page.round++;  // the chain that asks ends
  giveUp();
  await ask("/page/logout", {method: "POST"}).catch(() => null);
  setToken(null);
  begin();
}

let asked = null; // the path of the command that is to be confirmed

function confirmCommand(name, row) {
  asked = `/page/do/${name}` + (row ? `/${row.node_id}` : "");
  text($("ask-title"), COMMANDS[name].title(row ? nodeName(row) : ""));
  text($("ask-text"), (row ? `${row.hostname}:${row.port}. ` : "") + COMMANDS[name].words);
  text($("ask-send"), COMMANDS[name].word);
  text($("ask-fault"), "");
  $("ask-dialog").showModal();
}

async function sendCommand(event) {
  event.preventDefault();
  $("ask-send").disabled = true;
  text($("ask-fault"), "");
  try {
    await ask(asked, {method: "POST"});
    $("ask-dialog").close();
  } catch (error) {
    text($("ask-fault"), error instanceof Refused ? error.message : "pgpool does not answer");
  }
  $("ask-send").disabled = false;
}

// ---- light and dark ----

function applyTheme() {
  const theme = localStorage.getItem(THEME) || "system";
  if (theme === "system")
    delete document.documentElement.dataset.theme;
  else
    document.documentElement.dataset.theme = theme;
  text($("theme"), `Theme: ${theme}`);
}

function nextTheme() {
  const order = {system: "light", light: "dark", dark: "system"};
  localStorage.setItem(THEME, order[localStorage.getItem(THEME) || "system"]);
  applyTheme();
}

$("theme").addEventListener("click", nextTheme);
$("login").addEventListener("click", openLogin);
$("welcome-login").addEventListener("click", openLogin);
$("logout").addEventListener("click", logOut);
$("login-form").addEventListener("submit", sendLogin);
$("login-cancel").addEventListener("click", () => $("login-dialog").close());
$("ask-form").addEventListener("submit", sendCommand);
$("ask-cancel").addEventListener("click", () => $("ask-dialog").close());
$("pause").addEventListener("click", () => confirmCommand("pause", null));
$("resume").addEventListener("click", () => confirmCommand("resume", null));
document.addEventListener("visibilitychange", () => document.hidden || begin());
applyTheme();
makeTiles();
begin();
