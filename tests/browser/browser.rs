//! A browser and somebody's view through it: starting Chromium, finding things on a page, pressing keys. It knows
//! nothing of what the pages are about.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::harness::{IN, OUT, SOON, eventually};
use crate::office::Office;

const CHROMIUM: &str = "/usr/bin/chromium";
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";
/// Between two looks at a page that changes.
const PAUSE: Duration = Duration::from_millis(20);

/// Somebody's browser, with a profile of its own.
pub struct Browser {
    client: Client,
    door: String,
    _driver: Driver,
    _profile: TempDir,
}

/// What kind of browser to start.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    /// The language the browser asks for.
    pub language: &'a str,
    /// Whether pages may run scripts.
    pub javascript: bool,
    /// The host of the door its owner uses.
    pub door: &'a str,
}

impl<'a> Kind<'a> {
    /// In the office, with everything on.
    pub const fn speaking(language: &'a str) -> Self {
        Self {
            language,
            javascript: true,
            door: IN,
        }
    }
}

/// How a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark ink on light ground.
    Light,
    /// Light ink on dark ground.
    Dark,
}

impl Scheme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Light, Self::Dark];

    /// The name CSS has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Browser {
    /// Starts a browser whose owner knows the way to this office, and no way to anywhere else.
    pub async fn open(office: &Office, kind: Kind<'_>) -> Self {
        let driver = Driver::start().await;
        let profile = tempfile::Builder::new().prefix("sekisho-chromium-").tempdir().unwrap();
        let capabilities = capabilities(office, kind, &profile);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .unwrap_or_else(|error| panic!("{CHROMIUM} does not start: {error}"));
        let browser = Self {
            client,
            door: format!("https://{}", kind.door),
            _driver: driver,
            _profile: profile,
        };
        browser.show(Scheme::Light, 1280, 800).await;
        browser
    }

    /// Types an address; a path is one of the owner's door.
    pub async fn visit(&self, address: &str) {
        let address = if address.starts_with('/') {
            format!("{}{address}", self.door)
        } else {
            address.to_owned()
        };
        self.client
            .goto(&address)
            .await
            .unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// The window that is looked at.
    pub async fn window(&self) -> WindowHandle {
        self.client.window().await.unwrap()
    }

    /// Waits for a second window, and looks at it.
    pub async fn switch_to_other_than(&self, first: &WindowHandle) {
        let other = eventually("a second window", async || {
            let open = self.client.windows().await.unwrap();
            open.into_iter().find(|window| window != first)
        })
        .await;
        self.client.switch_to_window(other).await.unwrap();
    }

    /// Waits until every other window has closed, and looks at this one.
    pub async fn is_alone_with(&self, first: &WindowHandle) {
        eventually("the other window to close", async || {
            let open = self.client.windows().await.unwrap();
            (open.len() == 1).then_some(())
        })
        .await;
        self.client.switch_to_window(first.clone()).await.unwrap();
    }

    /// The address bar.
    pub async fn address(&self) -> Url {
        self.client.current_url().await.unwrap()
    }

    /// The path of the address bar, with its query.
    pub async fn path(&self) -> String {
        let address = self.address().await;
        match address.query() {
            Some(query) => format!("{}?{query}", address.path()),
            None => address.path().to_owned(),
        }
    }

    /// Waits until something is on the page.
    #[track_caller]
    pub fn find<'a>(&'a self, css: &'a str) -> impl Future<Output = Element> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let found = self.client.wait().at_most(SOON).every(PAUSE);
            match found.for_element(Locator::Css(css)).await {
                Ok(element) => element,
                Err(error) => panic!(
                    "{caller}: no `{css}` on {}: {error}\n{}",
                    self.address().await,
                    self.page().await
                ),
            }
        }
    }

    /// Whether something is on the page now.
    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.unwrap().is_empty()
    }

    /// Waits for something and reads it.
    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// Waits until something has a text that is wanted. Pages may change while this looks.
    #[track_caller]
    pub fn until<'a>(&'a self, css: &'a str, wanted: impl Fn(&str) -> bool + 'a) -> impl Future<Output = String> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let mut last = String::new();
            let looking = async {
                loop {
                    if let Some(text) = self.glance(css).await {
                        if wanted(&text) {
                            return text;
                        }
                        last = text;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            };
            match tokio::time::timeout(SOON, looking).await {
                Ok(text) => text,
                Err(late) => panic!(
                    "{caller}: {late}: `{css}` on {} says {last:?}\n{}",
                    self.address().await,
                    self.page().await
                ),
            }
        }
    }

    /// The text of something, unless it is not there or goes away with its page while this looks.
    async fn glance(&self, css: &str) -> Option<String> {
        self.client.find(Locator::Css(css)).await.ok()?.text().await.ok()
    }

    /// Waits until the address bar shows this path, with or without a query.
    #[track_caller]
    pub fn arrive<'a>(&'a self, path: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let arriving = async {
                while self.address().await.path() != path {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            if let Err(late) = tokio::time::timeout(SOON, arriving).await {
                panic!(
                    "{caller}: {late}: not at {path} but at {}\n{}",
                    self.address().await,
                    self.page().await
                );
            }
        }
    }

    /// Clicks.
    #[track_caller]
    pub fn click<'a>(&'a self, css: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        let found = self.find(css);
        async move {
            let clicked = found.await.click().await;
            clicked.unwrap_or_else(|error| panic!("{caller}: cannot click `{css}`: {error}"));
        }
    }

    /// Replaces what is in a field.
    #[track_caller]
    pub fn fill<'a>(&'a self, css: &'a str, text: &'a str) -> impl Future<Output = ()> + 'a {
        let found = self.find(css);
        async move {
            let field = found.await;
            field.clear().await.unwrap();
            if !text.is_empty() {
                field.send_keys(text).await.unwrap();
            }
        }
    }

    /// Chooses a file, as its dialogue would.
    pub async fn choose_file(&self, css: &str, path: &str) {
        self.find(css).await.send_keys(path).await.unwrap();
    }

    /// Presses one key, wherever the focus is.
    pub async fn press(&self, key: Key) {
        self.strike(char::from(key)).await;
    }

    /// Types on the keyboard, wherever the focus is.
    pub async fn type_keys(&self, text: &str) {
        for letter in text.chars() {
            self.strike(letter).await;
        }
    }

    async fn strike(&self, value: char) {
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Runs a function body in the page, whatever the page's own policy about scripts is.
    pub async fn ask(&self, script: &str, args: Vec<Value>) -> Value {
        self.client
            .execute(script, args)
            .await
            .unwrap_or_else(|error| panic!("{script:.200}: {error}"))
    }

    /// The same for a function that calls its last argument back.
    pub async fn ask_later(&self, script: &str, args: Vec<Value>) -> Value {
        let answer = self.client.execute_async(script, args).await;
        answer.unwrap_or_else(|error| panic!("{script:.200}: {error}"))
    }

    /// Shows pages in this scheme, on a screen of this many CSS pixels.
    pub async fn show(&self, scheme: Scheme, width: u32, height: u32) {
        self.show_zoomed(scheme, width, height, 1).await;
    }

    /// The same, with everything `zoom` times as large.
    pub async fn show_zoomed(&self, scheme: Scheme, width: u32, height: u32, zoom: u32) {
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme.as_str()}]});
        self.devtools("Emulation.setEmulatedMedia", scheme).await;
        let size = json!({
            "width": width / zoom, "height": height / zoom, "deviceScaleFactor": zoom, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// A picture of what is on the screen, as PNG; of the whole page with `whole`.
    pub async fn picture(&self, whole: bool) -> Vec<u8> {
        let asked = json!({"format": "png", "captureBeyondViewport": whole, "optimizeForSpeed": true});
        let taken = self.devtools("Page.captureScreenshot", asked).await;
        let encoded = taken["data"].as_str().expect("a picture");
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, encoded).unwrap()
    }

    /// Speaks to Chromium in its own words, which say more than those of chromedriver.
    pub async fn devtools(&self, command: &str, params: Value) -> Value {
        let sent = self.client.issue_cmd(Vendor {
            path: "goog/cdp/execute",
            body: json!({"cmd": command, "params": params}),
        });
        sent.await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// What the page says to a reader, for a failing test.
    pub async fn page(&self) -> String {
        let text = self.client.execute("return document.body.innerText", Vec::new()).await;
        text.map_or_else(
            |error| error.to_string(),
            |text| text.as_str().unwrap_or_default().to_owned(),
        )
    }

    /// Closes the browser, after a look at what its pages did behind the scenes.
    pub async fn close(self) {
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "the browser complains: {complaints:#?}");
        self.watch_requests().await;
        self.client.clone().close().await.unwrap();
    }

    /// What the console says is wrong: scripts that fail, and what the page's own policy forbids. That the gateway
    /// refuses something is no fault of a page.
    async fn complaints(&self) -> Vec<Value> {
        let entries = self.log("browser").await;
        let is_fault = |entry: &Value| entry["level"] == "SEVERE" && entry["source"] != "network";
        entries.into_iter().filter(is_fault).collect()
    }

    /// No page asks anybody but the doors for anything, and all that makes a page up is there.
    async fn watch_requests(&self) {
        let traffic = Traffic::read(&self.log("performance").await);
        assert!(traffic.to_doors > 0, "the browser asked for nothing at all");
        assert!(
            traffic.to_others.is_empty(),
            "pages asked third parties: {:#?}",
            traffic.to_others
        );
        assert!(
            traffic.missing.is_empty(),
            "parts of pages are missing: {:#?}",
            traffic.missing
        );
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let read = self.client.issue_cmd(Vendor {
            path: "se/log",
            body: json!({"type": kind}),
        });
        match read.await.unwrap() {
            Value::Array(entries) => entries,
            other => panic!("no log: {other}"),
        }
    }
}

/// What the pages of the doors asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traffic {
    to_doors: usize,
    to_others: Vec<String>,
    /// Style sheets, scripts, pictures that were refused.
    missing: Vec<String>,
}

impl Traffic {
    /// From chromedriver's performance log.
    fn read(entries: &[Value]) -> Self {
        let mut traffic = Self::default();
        for entry in entries {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let (method, params) = (&message["message"]["method"], &message["message"]["params"]);
            match method.as_str().unwrap() {
                "Network.requestWillBeSent" if is_door(&params["documentURL"]) => {
                    traffic.asked(&params["request"]["url"]);
                }
                "Network.webSocketCreated" => traffic.asked(&params["url"]),
                "Network.responseReceived" => traffic.answered(params),
                _ => {}
            }
        }
        traffic
    }

    fn asked(&mut self, address: &Value) {
        let text = address.as_str().unwrap();
        if is_door(address) {
            self.to_doors += 1;
        } else if !text.starts_with("data:") && !text.starts_with("blob:") {
            self.to_others.push(text.to_owned());
        }
    }

    fn answered(&mut self, params: &Value) {
        let (address, status) = (&params["response"]["url"], params["response"]["status"].as_u64());
        let part = matches!(
            params["type"].as_str(),
            Some("Stylesheet" | "Script" | "Image" | "Font" | "Other")
        );
        if part && is_door(address) && status.is_none_or(|status| status >= 400) {
            self.missing.push(format!("{address}: {status:?}"));
        }
    }
}

fn is_door(address: &Value) -> bool {
    let address = address.as_str().and_then(|address| Url::parse(address).ok());
    address.is_some_and(|url| {
        matches!(url.scheme(), "https" | "wss") && url.port().is_none() && matches!(url.host_str(), Some(IN | OUT))
    })
}

#[test]
fn requests_to_third_parties_and_missing_parts_are_noticed() {
    let entry = |method: &str, params: Value| json!({"message": json!({"message": {"method": method, "params": params}}).to_string()});
    let ask = |document: &str, url: &str| {
        entry(
            "Network.requestWillBeSent",
            json!({"documentURL": document, "request": {"url": url}}),
        )
    };
    let answer = |kind: &str, status: u16| {
        let response = json!({"url": "https://in.test/style.css", "status": status});
        entry("Network.responseReceived", json!({"type": kind, "response": response}))
    };
    let page = "https://in.test/login";
    let traffic = Traffic::read(&[
        ask(page, "https://in.test/style.css"),
        ask(page, "data:image/png;base64,AAAA"),
        ask(page, "https://in.test.example.com/font.woff2"),
        ask(page, "http://in.test/plain"),
        ask("chrome://newtab", "https://elsewhere.example.com/"),
        entry("Network.webSocketCreated", json!({"url": "wss://out.test/ws"})),
        entry(
            "Network.webSocketCreated",
            json!({"url": "wss://elsewhere.example.com/ws"}),
        ),
        answer("Stylesheet", 200),
        answer("Stylesheet", 404),
        answer("Document", 401),
        answer("Fetch", 401),
    ]);
    assert_eq!(traffic.to_doors, 2);
    let others = [
        "https://in.test.example.com/font.woff2",
        "http://in.test/plain",
        "wss://elsewhere.example.com/ws",
    ];
    assert_eq!(traffic.to_others, others);
    assert_eq!(traffic.missing.len(), 1, "{traffic:?}");
}

fn capabilities(office: &Office, kind: Kind<'_>, profile: &TempDir) -> Capabilities {
    let road = office.road;
    let args = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-quic".to_owned(),
        "--disable-sync".to_owned(),
        "--disable-breakpad".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--hide-scrollbars".to_owned(),
        format!("--lang={}", kind.language),
        format!("--host-resolver-rules=MAP {IN}:443 {road}, MAP {OUT}:443 {road}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
        format!("--ignore-certificate-errors-spki-list={}", office.key_digest),
        format!("--user-data-dir={}", profile.path().display()),
    ];
    let mut prefs = json!({
        "intl.accept_languages": kind.language,
        "credentials_enable_service": false,
        "profile.password_manager_enabled": false,
        "profile.password_manager_leak_detection": false,
    });
    if !kind.javascript {
        prefs["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    let wanted = json!({
        "goog:chromeOptions": {
            "binary": CHROMIUM,
            "args": args,
            "prefs": prefs,
            "perfLoggingPrefs": {"enableNetwork": true, "enablePage": false},
        },
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    });
    match wanted {
        Value::Object(wanted) => wanted,
        _ => unreachable!("it is written as an object"),
    }
}

/// The program between us and the browser.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    async fn start() -> Self {
        for program in [CHROMEDRIVER, CHROMIUM] {
            let there = std::path::Path::new(program).exists();
            assert!(
                there,
                "{program} is missing; `make test` installs it (Debian's chromium and chromium-driver)"
            );
        }
        let mut process = Command::new(CHROMEDRIVER)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A group of its own, which Chromium joins: so both can be ended together.
            .process_group(0)
            .spawn()
            .unwrap();
        let said = process.stdout.take().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                heard.lock().push(line);
            }
        });
        let mut driver = Self { process, port: 0 };
        driver.port = eventually("chromedriver to say where it listens", async || {
            lines.lock().iter().find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
        })
        .await;
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.process.wait();
    }
}

/// A command that chromedriver has beside the standard.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
