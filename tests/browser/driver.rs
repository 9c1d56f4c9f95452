//! A browser under control: headless Chromium, driven over WebDriver (W3C), which is JSON over HTTP.
//!
//! As much of the protocol as the tests use, over a socket: one request a connection.
//!
//! Nothing of it outlives its test. The driver leads a process group of its own, which is killed whole; where the test is
//! killed itself, the kernel kills the driver (`setpriv --pdeathsig`), and Chromium ends when the pipe to it closes.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{PATIENCE, until};

/// How a key that writes nothing is typed (WebDriver §17.4.2).
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// The member of an element's reference that has its identifier (WebDriver §11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser of its own for one test; it ends with it.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    site: String,
    profile: TempDir,
}

impl Browser {
    /// A fresh browser for which www.foobar.com is this machine, at the web server's `port`.
    pub(crate) fn open(port: u16) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "chromedriver", "--port=0"])
            .process_group(0)
            .env("TMPDIR", profile.path())
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv (Debian: util-linux): {error}"));
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let driver_port = loop {
            let mut line = String::new();
            let length = said.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "chromedriver (Debian: chromium-driver) ended");
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                break rest.trim().trim_end_matches('.').parse().unwrap();
            }
        };
        let site = format!("http://www.foobar.com:{port}");
        let mut browser = Self { driver, port: driver_port, session: String::new(), site, profile };
        let profile = browser.profile.path().join("profile");
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--remote-debugging-pipe".to_owned(),
            "--host-resolver-rules=MAP www.foobar.com 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
                .to_owned(),
            format!("--user-data-dir={}", profile.display()),
            "--window-size=1280,900".to_owned(),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let made = browser.request("POST", "/session", &capabilities);
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Its processes that are alive: those that name its profile.
    pub(crate) fn alive(profile: &Path) -> usize {
        let names = |place: &Path| {
            let line = fs::read(place.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(profile.to_str().unwrap())
        };
        fs::read_dir("/proc").unwrap().filter(|process| names(&process.as_ref().unwrap().path())).count()
    }

    /// The directory that only it uses.
    pub(crate) fn profile(&self) -> PathBuf {
        self.profile.path().to_owned()
    }

    /// Kills the driver alone, as a crash would.
    pub(crate) fn kill_driver(&mut self) {
        self.driver.kill().unwrap();
    }

    /// Goes to a page of the site.
    pub(crate) fn visit(&self, path: &str) {
        self.command("POST", "/url", &json!({ "url": format!("{}{path}", self.site) }));
    }

    /// Where it is: the path and query.
    pub(crate) fn place(&self) -> String {
        let url = self.command("GET", "/url", &Value::Null);
        url.as_str()
            .unwrap()
            .strip_prefix(&self.site)
            .unwrap_or_else(|| panic!("left the site: {url}"))
            .to_owned()
    }

    /// What a script says; `arguments` are its.
    pub(crate) fn script(&self, script: &str, arguments: &[Value]) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// The text of the page as it is seen.
    pub(crate) fn text(&self) -> String {
        self.script("return document.body.innerText", &[]).as_str().unwrap().to_owned()
    }

    /// Types into the element that `css` selects, in place of what it holds.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.command("POST", &format!("/element/{element}/clear"), &json!({}));
        self.command("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Clicks on the element that `css` selects, and waits for the page that comes of it.
    pub(crate) fn click(&self, css: &str) {
        let element = self.element(css);
        self.leaving(|| {
            self.command("POST", &format!("/element/{element}/click"), &json!({}));
        });
    }

    /// How it shows pages: `width` in CSS pixels, and what the visitor prefers, as `prefers-color-scheme: dark`.
    pub(crate) fn shows(&self, width: u32, preferences: &[(&str, &str)]) {
        let features: Vec<_> =
            preferences.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.chromium("Emulation.setEmulatedMedia", &json!({ "features": features }));
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What those who hear the page hear: each part that has a name or is text, as `role name`, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        let tree = self.chromium("Accessibility.getFullAXTree", &json!({}));
        let nodes: HashMap<_, _> =
            tree["nodes"].as_array().unwrap().iter().map(|node| (node["nodeId"].as_str(), node)).collect();
        let mut heard = Vec::new();
        let mut next = vec![&tree["nodes"][0]];
        while let Some(node) = next.pop() {
            if node["ignored"] == false {
                let part = |name: &str| node[name]["value"].as_str().unwrap_or_default();
                heard.push(format!("{} {}", part("role"), part("name")));
            }
            let children = node["childIds"].as_array().into_iter().flatten().rev();
            next.extend(children.filter_map(|id| nodes.get(&id.as_str())));
        }
        heard
    }

    /// Presses keys wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let keys: Vec<_> = keys
            .chars()
            .flat_map(|key| {
                [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
            })
            .collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.command("POST", "/actions", &actions);
    }

    /// Does what leads to another page, and waits until it is there.
    pub(crate) fn leaving(&self, act: impl FnOnce()) {
        self.script("window.isLeft = true", &[]);
        act();
        until("the next page", || {
            self.script("return !window.isLeft && document.readyState == 'complete'", &[]) == true
        });
    }

    /// Does something of Chromium's own protocol.
    pub(crate) fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// A picture of the whole page, in `target/screenshots`.
    pub(crate) fn picture(&self, name: &str) {
        let taken = self.chromium("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let png = data_encoding::BASE64.decode(taken["data"].as_str().unwrap().as_bytes()).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// What it wrote into a log since it was last asked: `browser` or `performance`.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        self.command("POST", "/se/log", &json!({ "type": kind })).as_array().unwrap().clone()
    }

    fn element(&self, css: &str) -> String {
        let found = self.command("POST", "/element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.request(method, &format!("/session/{}{path}", self.session), body)
    }

    #[track_caller]
    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE * 3)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end().to_ascii_lowercase().split_once(':') {
                Some(("content-length", bytes)) => length = bytes.trim().parse().unwrap(),
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let value = &answer["value"];
        assert!(value["error"].is_null(), "{method} {path} {body}: {}", value["message"]);
        value.clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to end, Chromium removes what it keeps outside its profile.
        if !self.session.is_empty()
            && let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
        {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = write!(
                stream,
                "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                self.session
            );
            let _ = stream.read(&mut [0; 64]);
        }
        if let Ok(group) = i32::try_from(self.driver.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.driver.wait();
    }
}
