//! A real Chromium without a window, told what to do by the DevTools protocol over two pipes: messages of
//! JSON with a NUL behind each.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::program::find;

const PATIENCE: Duration = Duration::from_secs(60);
/// Pictures are not longer.
const HEIGHT_MAX: f64 = 4000.0;

/// A browser with one page, until it is dropped.
pub(crate) struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    number: u64,
    session: Option<String>,
    /// What it said that was no answer.
    events: Vec<Value>,
    _folder: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let binary = find(&["chromium", "chromium-browser", "google-chrome"], "chromium");
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        assert!(Command::new("mkfifo").args([&input, &output]).status().unwrap().success());
        // The browser reads file descriptor 3 and writes 4.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<"$IN" 4>"$OUT""#])
            .arg(binary)
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-quic", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg("about:blank")
            .envs([("IN", &input), ("OUT", &output)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = OpenOptions::new().write(true).open(&input).unwrap();
        let output = File::open(&output).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "the browser does not start");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let (number, session, events) = (0, None, Vec::new());
        let mut browser =
            Self { child, commands, messages, number, session, events, _folder: folder };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let targets = self.call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().unwrap();
        let page = targets.iter().find(|target| target["type"] == "page").unwrap();
        let id = page["targetId"].clone();
        let attached = self.call("Target.attachToTarget", json!({"targetId": id, "flatten": true}));
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.call("Emulation.setScrollbarsHidden", json!({"hidden": true}));
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut message = json!({"id": number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.commands.write_all(message.to_string().as_bytes()).unwrap();
        self.commands.write_all(&[0]).unwrap();
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == number {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Does something that loads a page, and waits until it is there.
    fn loading(&mut self, act: impl FnOnce(&mut Self)) {
        let is_loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        let before = self.events.iter().filter(|event| is_loaded(event)).count();
        act(self);
        let started = Instant::now();
        while self.events.iter().filter(|event| is_loaded(event)).count() == before {
            assert!(started.elapsed() < PATIENCE, "no page was loaded");
            if let Ok(message) = self.messages.recv_timeout(Duration::from_millis(100)) {
                self.events.push(message);
            }
        }
    }

    pub(crate) fn open(&mut self, url: &str) {
        self.loading(|browser| {
            browser.call("Page.navigate", json!({"url": url}));
        });
    }

    /// As a window of this size shows it, light or dark.
    pub(crate) fn look(&mut self, width: u32, is_dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// What an expression gives on the page. The test asks; the page itself runs nothing.
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let answer =
            self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self) -> String {
        self.ask("document.body.innerText").as_str().unwrap().to_owned()
    }

    pub(crate) fn path(&mut self) -> String {
        self.ask("location.pathname").as_str().unwrap().to_owned()
    }

    /// Clicks in the middle of the first element that the selector finds, and waits for the page.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.ask(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{block: 'center', behavior: 'instant'}}); \
             const r = e.getClientRects()[0]; return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            json!(selector)
        ));
        self.loading(|browser| {
            for kind in ["mousePressed", "mouseReleased"] {
                let button = json!({"type": kind, "x": place[0], "y": place[1], "button": "left",
                                    "buttons": 1, "clickCount": 1});
                browser.call("Input.dispatchMouseEvent", button);
            }
        });
    }

    /// Presses Tab until what has the focus fits the selector; the number of presses.
    pub(crate) fn tab_to(&mut self, selector: &str) -> usize {
        let fits = format!("document.activeElement.matches({})", json!(selector));
        for presses in 1..400 {
            self.press("Tab", 9, "");
            if self.ask(&fits) == true {
                let outline = "getComputedStyle(document.activeElement).outlineStyle";
                assert_ne!(self.ask(outline), "none", "{selector}: the focus is not seen");
                return presses;
            }
        }
        panic!("{selector} is not reached by Tab");
    }

    pub(crate) fn enter(&mut self) {
        self.loading(|browser| browser.press("Enter", 13, "\r"));
    }

    fn press(&mut self, key: &str, code: u32, text: &str) {
        for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
            let press = json!({"type": kind, "key": key, "code": key, "text": text,
                               "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", press);
        }
    }

    /// Types where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    pub(crate) fn focus(&mut self, selector: &str) {
        self.ask(&format!("document.querySelector({}).focus()", json!(selector)));
    }

    /// Writes a picture of the whole page.
    pub(crate) fn picture(&mut self, path: &Path) {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let height = size["height"].as_f64().unwrap().min(HEIGHT_MAX);
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        let taken = self.call(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
        );
        let data = taken["data"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Addresses that were asked for so far, but for pictures inside the browser itself.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        self.ask("0");
        let sent =
            self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let urls = sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned());
        urls.filter(|url| !url.starts_with("data:")).collect()
    }

    /// Errors and warnings that the browser's console has, scripts that threw, and dialogs.
    pub(crate) fn complaints(&mut self) -> Vec<Value> {
        self.ask("0");
        let is_complaint = |event: &&Value| {
            let level = event["params"]["entry"]["level"].as_str().unwrap_or_default();
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown"
                | "Runtime.consoleAPICalled"
                | "Page.javascriptDialogOpening" => true,
                "Log.entryAdded" => matches!(level, "error" | "warning"),
                _ => false,
            }
        };
        self.events.iter().filter(is_complaint).cloned().collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
