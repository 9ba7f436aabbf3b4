// A rack: its elevation, and its sensors with live numbers.

import { get } from "./ask.js";
import { colour, paint } from "./colour.js";
import { el, empty, fact, renew, say, show, svg, table } from "./element.js";
import { listen } from "./live.js";
import { silenceForm } from "./quiet.js";
import { celsius, degrees, KINDS, kelvin, length, SIGNS } from "./words.js";

const UNIT = 12;

/** The devices of a rack, or of none. */
export async function rackPage(place, name, current) {
  const site = await get("site");
  const loose = name === "";
  const read = async () =>
    loose ? { rack: null, sensors: await get("devices?rack=") } : get(`racks/${encodeURIComponent(name)}`);
  let { rack, sensors } = await read();
  const rows = new Map();
  const marks = new Map();
  const facts = el("dl", { class: "facts" });
  const body = el("div");
  const elevation = el("div", { class: "elevation" });

  const drawFacts = () => {
    if (!rack) return;
    const inlets = sensors
      .filter((sensor) => sensor.role === "inlet" && !sensor.fault && sensor.value !== null)
      .map((sensor) => sensor.value);
    const exhausts = sensors
      .filter((sensor) => sensor.role === "exhaust" && !sensor.fault && sensor.value !== null)
      .map((sensor) => sensor.value);
    const mean = (all) => (all.length ? all.reduce((sum, value) => sum + value, 0) / all.length : null);
    const [inlet, exhaust] = [mean(inlets), mean(exhausts)];
    renew(
      facts,
      fact("Inlets", inlets.length ? `${degrees(Math.min(...inlets))} to ${celsius(Math.max(...inlets))}` : "none"),
      fact("Exhaust", celsius(exhaust)),
      fact("ΔT", exhaust === null || inlet === null ? "–" : kelvin(exhaust - inlet)),
      fact("Sensors", String(sensors.length)),
      fact("Cannot be read", String(sensors.filter((sensor) => sensor.fault).length)),
    );
  };

  const update = (sensor) => {
    const row = rows.get(sensor.id);
    if (!row) return;
    say(row.value, sensor.fault ? "–" : degrees(sensor.value));
    paint(row.value, sensor.role === "inlet" && !sensor.fault ? sensor.value : null, site.envelope);
    const fires = sensor.open?.length
      ? sensor.open.map((open) => `${SIGNS[open.severity]} ${KINDS[open.type] ?? open.type}`).join(", ")
      : sensor.severity
        ? `${SIGNS[sensor.severity]} ${sensor.severity}`
        : "";
    say(row.state, sensor.fault ? `✕ ${sensor.fault.replaceAll("_", " ")}` : fires || "ok");
    row.node.dataset.severity = sensor.severity ?? "";
    const mark = marks.get(sensor.id);
    if (mark) {
      const pair = sensor.fault ? null : colour(sensor.value, site.envelope);
      mark.rect.setAttribute("fill", pair && sensor.role === "inlet" ? pair[0] : "var(--faint)");
      mark.text.setAttribute("fill", pair && sensor.role === "inlet" ? pair[1] : "var(--ink)");
      say(mark.text, sensor.fault ? "✕" : degrees(sensor.value));
      mark.rect.setAttribute(
        "stroke",
        sensor.severity === "critical" ? "var(--critical)" : sensor.severity === "warning" ? "var(--warning)" : "none",
      );
    }
  };

  const drawElevation = () => {
    marks.clear();
    const placed = sensors.filter((sensor) => sensor.u !== null);
    if (placed.length === 0) {
      show(
        elevation,
        loose
          ? null
          : el(
              "p",
              { class: "muted" },
              "No sensor says how high it is in the rack (",
              el("code", null, "u"),
              " in the agent's configuration or the site file).",
            ),
      );
      return;
    }
    const top = Math.max(42, ...placed.map((sensor) => sensor.u));
    const height = top * UNIT;
    const lane = (role) => (role === "inlet" ? 0 : role === "exhaust" ? 2 : 1);
    const used = new Map();
    const drawing = svg(
      "svg",
      {
        viewBox: `0 0 300 ${height + 34}`,
        role: "group",
        "aria-label": `Elevation of rack ${name}: ${placed.length} sensors by height`,
      },
      svg("text", { x: 74, y: 12, class: "small" }, "front"),
      svg("text", { x: 152, y: 12, class: "small" }, "inside"),
      svg("text", { x: 236, y: 12, class: "small" }, "rear"),
      svg("rect", { x: 30, y: 18, width: 264, height: height + 8, rx: 4, class: "frame" }),
    );
    for (let u = 1; u <= top; u += 1) {
      const y = 22 + (top - u) * UNIT;
      if (u % 6 === 0 || u === 1) {
        drawing.append(svg("text", { x: 24, y: y + 9, class: "small end" }, `U${u}`));
        drawing.append(svg("line", { x1: 30, x2: 294, y1: y + UNIT, y2: y + UNIT, class: "rule" }));
      }
    }
    for (const sensor of placed) {
      const column = lane(sensor.role);
      const key = `${column}/${sensor.u}`;
      const shift = used.get(key) ?? 0;
      used.set(key, shift + 1);
      const x = 36 + column * 86 + Math.min(shift, 3) * 8;
      const y = 22 + (top - sensor.u) * UNIT - 3;
      const rect = svg("rect", { x, y, width: 76, height: UNIT + 6, rx: 3, "stroke-width": 2.5 });
      const text = svg("text", { x: x + 38, y: y + 13, class: "mark" });
      drawing.append(
        svg(
          "a",
          { href: `#/sensor/${encodeURIComponent(sensor.id)}`, "aria-label": `${sensor.id}, U${sensor.u}` },
          rect,
          text,
          svg("title", null, `${sensor.name || sensor.id} · U${sensor.u}`),
        ),
      );
      marks.set(sensor.id, { rect, text });
    }
    show(elevation, drawing);
  };

  const draw = () => {
    rows.clear();
    const lines = sensors.map((sensor) => {
      const value = el("td", { class: "value" });
      const state = el("td");
      const node = el(
        "tr",
        null,
        el(
          "th",
          { scope: "row" },
          el("a", { href: `#/sensor/${encodeURIComponent(sensor.id)}` }, sensor.id),
          sensor.name && sensor.name !== sensor.id && el("small", null, sensor.name),
        ),
        el("td", null, sensor.role),
        el("td", { class: "right" }, sensor.u ?? "–"),
        value,
        state,
        el("td", null, sensor.source || "plain client"),
        el("td", { class: "right" }, sensor.interval_ms ? length(sensor.interval_ms) : "–"),
      );
      rows.set(sensor.id, { node, value, state });
      return node;
    });
    show(
      body,
      sensors.length
        ? table(
            `Sensors of ${loose ? "no rack" : name}`,
            ["Sensor", "Role", ">U", ">°C", "State", "Source", ">Every"],
            lines,
          )
        : empty("Nothing stands here.", el("p", null, el("a", { href: "#/" }, "Back to the map"))),
    );
    drawElevation();
    sensors.forEach(update);
    drawFacts();
  };

  const spot = rack
    ? [rack.room !== "default" && rack.room, rack.row && `row ${rack.row}`].filter(Boolean).join(", ")
    : "";
  show(
    place,
    el("p", { class: "crumbs" }, el("a", { href: "#/" }, "Overview"), spot && ` › ${spot}`),
    el("h1", null, loose ? "Sensors in no rack" : `Rack ${name}`),
    facts,
    !loose &&
      el(
        "p",
        null,
        el("a", { href: `#/cooling/rack/${encodeURIComponent(name)}` }, "How well it is cooled, over time"),
      ),
    el("div", { class: "split" }, elevation, body),
    !loose &&
      el("details", { class: "act" }, el("summary", null, `Silence rack ${name} …`), silenceForm({ rack: name })),
  );
  draw();

  const again = async () => {
    try {
      const fresh = await read();
      if (!current()) return;
      const stands = (some) => some.map((sensor) => `${sensor.id} ${sensor.u} ${sensor.name}`).join();
      const same = stands(fresh.sensors) === stands(sensors);
      ({ rack, sensors } = fresh);
      if (same) {
        sensors.forEach(update);
        drawFacts();
      } else draw();
    } catch {
      // What was there stays; the stream says that there is no connection.
    }
  };
  listen(
    { rack: name },
    {
      devices: (news) => {
        for (const [id, value, fault, at, severity] of news) {
          const sensor = sensors.find((known) => known.id === id);
          if (!sensor) continue;
          const other = sensor.severity !== severity;
          Object.assign(sensor, { value, fault, at, severity });
          if (other && !severity) sensor.open = [];
          update(sensor);
          if (other) again();
        }
        drawFacts();
      },
      again,
    },
  );
}
