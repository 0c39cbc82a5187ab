// Says when the session ends and signs in again in a small window: see docs/api.md.
(() => {
	const d = document, warn = +d.currentScript.dataset.warn || 120, host = d.createElement("sekisho-session");
	const root = host.attachShadow({ mode: "open" });
	const [css, said, time, button] = ["link", "p", "time", "button"].map((tag) => root.appendChild(d.createElement(tag)));
	css.rel = "stylesheet";
	css.href = "/.sekisho/assets/session.css";
	said.role = "status";
	let facts, over, until, timer;
	const wait = (run, s) => { clearTimeout(timer); timer = setTimeout(run, s * 1e3); };
	const show = (what, left, stay) => {
		const t = facts.texts;
		if (!host.isConnected) d.body.append(host);
		if (said.textContent != t[what]) said.textContent = t[what];
		time.textContent = left;
		button.textContent = stay ? t.stay : t.sign_in;
		button.onclick = () => stay ? ask("POST") : open(facts.window_url, "sekisho", "width=480,height=720");
	};
	const tick = () => {
		const left = Math.max(0, Math.round(until - Date.now() / 1e3));
		if (left > warn) return host.remove(), wait(ask, Math.min(left - warn, 300));
		show("ends", new Date(left * 1e3).toJSON().slice(14, 19), facts.renewable);
		wait(left % 10 ? tick : ask, 1);
	};
	const ask = async (method) => {
		wait(ask, 60);
		const body = method && new Blob(["{}"], { type: "application/json" });
		const r = await fetch("/.sekisho/session?lang=" + d.documentElement.lang, { method, body }).catch(() => 0);
		if (r.ok) {
			const id = facts?.account.id;
			facts = await r.json();
			if (id && id != facts.account.id) location.reload();
			until = Date.now() / 1e3 + facts.idle_seconds_left;
			over &&= !dispatchEvent(new Event("sekisho:signed-in"));
			tick();
		} else if (facts && r.status == 401) {
			show("ended", "");
			over ||= dispatchEvent(new Event("sekisho:ended"));
		}
	};
	const look = (e) => { e.preventDefault(); ask(); };
	new BroadcastChannel("sekisho").onmessage = look;
	addEventListener("focus", look);
	addEventListener("sekisho:check", look);
	ask();
})();
