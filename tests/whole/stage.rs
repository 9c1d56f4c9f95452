//! A lab of its own for each test, and the ways to drive it.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The executable under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wwwlab");

/// Nothing that is waited for here takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at what is waited for: to look all the time would take the processor from it.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// A lab directory; its lab, if one is up, ends with it.
pub(crate) struct Stage {
    directory: TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Stage {
    /// A new lab, not yet up, that takes free ports.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let stage = Self { directory };
        let made = Command::new(PROGRAM).arg("new").arg(stage.root()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        stage.set_ports("[ports]\ndns = 0\nhttp = 0\napp = 0\ndb = 0\n");
        stage
    }

    /// A new lab that is up in the background.
    pub(crate) fn up() -> Self {
        let stage = Self::new();
        stage.wwwlab(["up", "-d"]).ok();
        stage
    }

    /// Its directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("lab")
    }

    /// Where its runs keep their state.
    pub(crate) fn state(&self) -> PathBuf {
        self.root().join(".wwwlab/loopback")
    }

    /// Replaces the settings of its ports.
    pub(crate) fn set_ports(&self, section: &str) {
        self.edit("lab.toml", |text| {
            let (before, after) = text.split_once("[ports]").expect("lab.toml has a [ports] section");
            let rest = after.find("\n[").map_or("", |next| &after[next..]);
            format!("{before}{section}{rest}")
        });
    }

    /// Has it on ports that no other lab draws, in place of free ones: for whoever closes one and wants it back.
    pub(crate) fn keep_ports(&self) {
        self.edit("lab.toml", |text| {
            let (before, after) = text.split_once("[ports]").expect("lab.toml has a [ports] section");
            let (section, rest) = after.split_at(after.find("\n[").unwrap_or(after.len()));
            let kept = |line: &str| match line.strip_suffix("= 0") {
                Some(key) => format!("{key}= {}", kept_port()),
                None => line.to_owned(),
            };
            let section: Vec<String> = section.split('\n').map(kept).collect();
            format!("{before}[ports]{}{rest}", section.join("\n"))
        });
    }

    /// Rewrites one of its files.
    pub(crate) fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.root().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed, "the edit of {file} changes nothing");
        fs::write(path, changed).unwrap();
    }

    /// Runs wwwlab in its directory.
    pub(crate) fn wwwlab<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Said {
        self.run(PROGRAM, arguments)
    }

    /// Runs `program` in its directory.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> Said {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Said::from(output)
    }

    /// A command in its directory, in a clean environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root()).stdin(Stdio::null());
        for variable in
            ["WWWLAB_LAB", "WWWLAB_STATE", "WWWLAB_NETWORK", "http_proxy", "https_proxy", "all_proxy"]
        {
            command.env_remove(variable);
        }
        command
    }

    /// wwwlab in the foreground, for the test to signal.
    pub(crate) fn foreground(&self) -> Child {
        let mut command = self.command(PROGRAM);
        command.arg("up").stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// How the lab stands, as JSON.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.wwwlab(["status", "--json"]).ok()).unwrap()
    }

    /// One service's part of the status.
    pub(crate) fn service(&self, name: &str) -> Value {
        let status = self.status();
        let services = status["services"].as_array().unwrap();
        services.iter().find(|service| service["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    /// The process of a service.
    pub(crate) fn pid(&self, name: &str) -> u32 {
        self.service(name)["pid"].as_u64().unwrap().try_into().unwrap()
    }

    /// The process of its supervisor.
    pub(crate) fn supervisor(&self) -> u32 {
        fs::read_to_string(self.state().join("lock")).unwrap().trim().parse().unwrap()
    }

    /// One of the lab's ports: `dns`, `http`, `app`.
    pub(crate) fn port(&self, what: &str) -> u16 {
        self.status()["ports"][what].as_u64().unwrap().try_into().unwrap()
    }

    /// The real dig at one of the lab's addresses, with its port.
    pub(crate) fn dig(&self, server: &str, arguments: &str) -> String {
        let port = self.port("dns").to_string();
        let line = format!("@{server} -p {port} +tries=1 {arguments}");
        self.run("dig", line.split_whitespace()).out
    }

    /// The real curl through `wwwlab curl`, quietly.
    pub(crate) fn curl(&self, arguments: &str) -> Said {
        self.wwwlab(["curl", "-s"].into_iter().chain(arguments.split_whitespace()))
    }

    /// The body of the page at `path`, and its status.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let said = self.curl(&format!("-i http://www.foobar.com{path}"));
        let status = said.out.split_whitespace().nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {said:?}")), said.out)
    }

    /// The lines of a service's log.
    pub(crate) fn log(&self, service: &str) -> String {
        fs::read_to_string(self.state().join(format!("logs/{service}.log"))).unwrap_or_default()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for service in
                ["lab", "resolver", "resolver2", "root", "tld", "dns", "dns2", "web", "app", "app2", "db"]
            {
                eprintln!("--- {service}.log\n{}", self.log(service));
            }
        }
        // A test that failed may have left its supervisor standing still.
        if let Ok(pid) = fs::read_to_string(self.state().join("lock")) {
            let _ = Command::new("kill").args(["-CONT", pid.trim()]).stderr(Stdio::null()).status();
        }
        for network in ["loopback", "hosts"] {
            let _ = self.command(PROGRAM).args(["down", "--network", network]).output();
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}

impl Said {
    /// What it said, if it was done.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Why it was not done.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

/// A free port below those from which outgoing connections are drawn, so that no parallel test takes it in passing.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut port = first + NEXT.fetch_add(1, Ordering::Relaxed) * 50;
    while TcpListener::bind(("127.0.0.1", port)).is_err() || UdpSocket::bind(("127.0.0.4", port)).is_err() {
        port += 1;
    }
    port
}

/// A free port above those from which outgoing connections are drawn, where no lab looks for a free one either.
fn kept_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() % 4_000;
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 61_000 + u16::try_from((first + u32::from(next)) % 4_500).unwrap();
        let is_free = |host: u8| {
            let address = (Ipv4Addr::new(127, 0, 0, host), port);
            TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
        };
        if (1..=5).all(is_free) {
            return port;
        }
    }
}

/// Waits until `happened`, looking often; fails with `what` if it does not.
#[track_caller]
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "still not: {what}");
        std::thread::park_timeout(LOOKS_EVERY);
    }
}

/// The processes whose command line names `directory`, without those that have ended and wait to be reaped.
pub(crate) fn processes_of(directory: &Path) -> Vec<u32> {
    let needle = directory.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(needle) {
            found.push(pid);
        }
    }
    found
}

/// Sends a signal by name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}
