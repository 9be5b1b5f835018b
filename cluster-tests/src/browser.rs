//! A real browser, Chromium without a window, driven by its own driver over WebDriver (W3C).

use crate::{Program, wait_until};
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// The name of the field that holds a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that have no letter.
pub mod keys {
    /// To the next element.
    pub const TAB: &str = "\u{e004}";
    /// As a click.
    pub const ENTER: &str = "\u{e007}";
    /// Out of a dialog.
    pub const ESCAPE: &str = "\u{e00c}";
}

/// A browser with one page. It ends with the test: when its driver is gone, it goes too.
#[derive(Debug)]
pub struct Browser {
    http: Client,
    port: u16,
    session: String,
    _driver: Program,
    _profile: TempDir,
}

impl Drop for Browser {
    /// The driver is about to be killed, and would leave files behind.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            self.session
        );
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 64]);
    }
}

impl Browser {
    /// Starts one. Says loudly when this machine has none; the test that asked then skips, unless `HAPI_REQUIRE_CHROMIUM` is
    /// set.
    ///
    /// # Panics
    /// When there is one, and it does not come up.
    pub async fn start() -> Option<Self> {
        let (Some(chromium), Some(driver)) = (found("chromium"), found("chromedriver")) else {
            let why = "Chromium and chromedriver are not installed";
            assert!(env::var_os("HAPI_REQUIRE_CHROMIUM").is_none(), "{why}");
            eprintln!("SKIPPED: {why}");
            return None;
        };
        let mut driver = Program::serve(driver, ["--port=0"], &[]);
        let port = driver.read_until(port_of).await;
        // A second installation finds the first, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().timeout(Duration::from_secs(60)).no_proxy().build();
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let mut browser = Self {
            http: http.expect("an HTTP client can be made"),
            port,
            session: String::new(),
            _driver: driver,
            _profile: profile,
        };
        let wanted = capabilities(&chromium, browser._profile.path());
        let made = browser.ask(Method::POST, "/session", wanted).await.expect("a session is made");
        browser.session = made["sessionId"].as_str().expect("a session has an id").to_owned();
        Some(browser)
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let request = self.http.request(method.clone(), format!("http://127.0.0.1:{}{path}", self.port));
        let request = if method == Method::POST { request.json(&body) } else { request };
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let is_good = answer.status().is_success();
        let mut body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if is_good { Ok(body["value"].take()) } else { Err(body["value"]["message"].to_string()) }
    }

    async fn command(&self, path: &str, body: Value) -> Result<Value, String> {
        self.ask(Method::POST, &format!("/session/{}{path}", self.session), body).await
    }

    /// What only Chromium has.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("/goog/cdp/execute", body).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) {
        self.command("/url", json!({ "url": url })).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        self.script("return location.href").await.as_str().unwrap_or_default().to_owned()
    }

    /// What a script returns.
    pub async fn script(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.command("/execute/sync", body).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    async fn try_find(&self, selector: &str) -> Option<String> {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.command("/element", body).await.ok()?;
        found[ELEMENT].as_str().map(str::to_owned)
    }

    /// Waits for an element that can be used, and does something with it. A page may change meanwhile: then it is looked for
    /// again.
    async fn on(&self, selector: &str, what: &str, body: Value) {
        wait_until(&format!("{selector} is there"), async || {
            let element = self.try_find(selector).await?;
            self.command(&format!("/element/{element}/{what}"), body.clone()).await.ok()
        })
        .await;
    }

    /// Clicks on an element.
    pub async fn click(&self, selector: &str) {
        self.on(selector, "click", json!({})).await;
    }

    /// Writes into an element.
    pub async fn write(&self, selector: &str, text: &str) {
        self.on(selector, "value", json!({ "text": text })).await;
    }

    /// Presses keys, wherever the focus is.
    pub async fn press(&self, text: &str) {
        let down = |key: char| json!({ "type": "keyDown", "value": key });
        let up = |key: char| json!({ "type": "keyUp", "value": key });
        let actions: Vec<_> = text.chars().flat_map(|key| [down(key), up(key)]).collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.command("/actions", body).await.unwrap_or_else(|error| panic!("keys: {error}"));
    }

    /// Presses the tabulator until the focus is on an element that fits. Fails when it comes nowhere.
    ///
    /// # Panics
    /// When a hundred steps lead to no such element.
    pub async fn tab_to(&self, selector: &str) {
        for _ in 0..100 {
            let script = format!("return document.activeElement.matches({})", json!(selector));
            if self.script(&script).await == true {
                return;
            }
            self.press(keys::TAB).await;
        }
        panic!("the keyboard does not reach {selector}");
    }

    /// Waits until an element shows `text`.
    pub async fn see(&self, selector: &str, text: &str) {
        wait_until(&format!("{selector} shows {text:?}"), async || {
            self.text(selector).await.filter(|shown| shown.contains(text))
        })
        .await;
    }

    /// What an element shows, if there is one.
    pub async fn text(&self, selector: &str) -> Option<String> {
        let script = format!("return document.querySelector({})?.innerText", json!(selector));
        self.script(&script).await.as_str().map(str::to_owned)
    }

    /// From now on the screen has this size, is a phone's or not, and the system light or dark.
    pub async fn look(&self, (width, height): (u32, u32), is_phone: bool, is_dark: bool) {
        let scale = if is_phone { 2 } else { 1 };
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let scheme =
            json!({ "name": "prefers-color-scheme", "value": if is_dark { "dark" } else { "light" } });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await;
    }

    /// Takes a picture of what the screen shows, or of the whole page.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn picture(&self, file: &Path, is_whole: bool) {
        let taken =
            self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": is_whole })).await;
        let bytes = BASE64_STANDARD.decode(taken["data"].as_str().unwrap_or_default()).expect("it is Base64");
        file.parent().map(fs::create_dir_all).transpose().expect("a folder can be made");
        fs::write(file, bytes).expect("a picture can be written");
    }

    /// What pages have complained of since this was last asked: errors of scripts, and what a policy has kept out.
    pub async fn complaints(&self) -> Vec<String> {
        let logged = self.command("/se/log", json!({ "type": "browser" })).await.expect("there is a log");
        let is_grave = |entry: &&Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        let entries = logged.as_array().into_iter().flatten().filter(is_grave);
        entries.map(|entry| entry["message"].to_string()).collect()
    }
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    let profile = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless=new",
        // Where tests run as root, or in a container, there is no other way.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        // It ends when its driver does, however that ends.
        "--remote-debugging-pipe",
        "--no-proxy-server",
        // A name that is not the machine's own, for which browsers are stricter where there is no TLS.
        "--host-resolver-rules=MAP console.example 127.0.0.1",
        &profile,
    ];
    let options = json!({ "binary": chromium, "args": arguments });
    let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
    json!({ "capabilities": { "alwaysMatch": wanted } })
}

fn port_of(line: &str) -> Option<u16> {
    let (_, behind) = line.split_once("started successfully on port ")?;
    behind.trim_end_matches('.').trim().parse().ok()
}

/// A program of this name.
fn found(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}
