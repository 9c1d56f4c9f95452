//! The four name servers: a program each, in a process group and a directory of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::ask::{Question, Transport, ask};
use super::worlds::World;

/// Nothing that is waited for here takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often a port is drawn for a program that cannot draw one itself.
const DRAWS_MOST: usize = 5;

/// A name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind,
    Nsd,
    Knot,
    Wwwlab,
}

/// A running name server; it ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    child: Child,
    directory: TempDir,
}

impl Kind {
    /// The servers that ours is compared with.
    pub(crate) const PEERS: [Self; 3] = [Self::Bind, Self::Nsd, Self::Knot];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bind => "BIND",
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Wwwlab => "wwwlab",
        }
    }

    /// Its program.
    pub(crate) fn program(self) -> PathBuf {
        let (name, package) = match self {
            Self::Bind => ("named", "bind9"),
            Self::Nsd => ("nsd", "nsd"),
            Self::Knot => ("knotd", "knot"),
            Self::Wwwlab => return env!("CARGO_BIN_EXE_wwwlab").into(),
        };
        program(name, package)
    }
}

/// A program, which Debian may keep where an ordinary user's PATH does not look.
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: `make test` installs it, or apt install {package}"))
}

impl Server {
    /// Starts it with the zones of `world`, and waits until it serves each of them.
    pub(crate) fn start(kind: Kind, world: &World) -> Self {
        Self::start_set(kind, world, |settings| settings)
    }

    /// The same with DNS cookies on; with `insist`, who has none of the server's is not answered over UDP.
    pub(crate) fn start_with_cookies(kind: Kind, world: &World, insist: bool) -> Self {
        let (place, setting) = match (kind, insist) {
            (Kind::Bind, false) => ("answer-cookie no;", "answer-cookie yes;"),
            (Kind::Bind, true) => ("answer-cookie no;", "answer-cookie yes; require-server-cookie yes;"),
            (Kind::Knot, _) => ("  - id: default\n", "  - id: default\n    global-module: mod-cookies\n"),
            (Kind::Wwwlab, false) => ("", "--cookies answer"),
            (Kind::Wwwlab, true) => ("", "--cookies require"),
            (Kind::Nsd, _) => panic!("NSD is not asked for cookies"),
        };
        Self::start_set(kind, world, |settings| {
            assert!(settings.contains(place), "{} has no place for {setting}", kind.name());
            settings.replacen(place, setting, 1)
        })
    }

    fn start_set(kind: Kind, world: &World, set: impl Fn(String) -> String) -> Self {
        let mut why = String::new();
        for _ in 0..DRAWS_MOST {
            match Self::try_start(kind, world, &set) {
                Ok(server) => return server,
                Err(cause) => why = cause,
            }
        }
        panic!("{} does not serve: {why}", kind.name());
    }

    fn try_start(kind: Kind, world: &World, set: impl Fn(String) -> String) -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        let zones = world.write(directory.path());
        let address = match kind {
            Kind::Wwwlab => any_address(),
            _ => free_address(),
        };
        let command = command(kind, directory.path(), address, &zones, set);
        Self::run(kind, command, directory, address, &zones)
    }

    /// Runs `command` in `directory`, which listens at `address`, and waits until it serves each zone.
    pub(crate) fn run(
        kind: Kind,
        mut command: Command,
        directory: TempDir,
        address: SocketAddr,
        zones: &[(String, PathBuf)],
    ) -> Result<Self, String> {
        let log = fs::File::create(directory.path().join("log")).unwrap();
        command.current_dir(directory.path()).stdin(Stdio::null()).process_group(0);
        command.stderr(log.try_clone().unwrap());
        match kind {
            Kind::Wwwlab => command.stdout(Stdio::piped()),
            _ => command.stdout(log),
        };
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
        let mut server = Self { kind, address, child, directory };
        server.read_ready_line();
        server.wait_until_it_serves(zones)?;
        Ok(server)
    }

    /// Ours says where it listens; what it says then is read, so that it can go on saying it.
    fn read_ready_line(&mut self) {
        let Some(out) = self.child.stdout.take() else {
            return;
        };
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("ready at ")).unwrap_or_default();
        let address = line.strip_prefix("ready at ").and_then(|rest| rest.split('/').next());
        self.address = address
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("wwwlab is not ready: {line}\n{}", self.log()));
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// Has it read its zones again.
    pub(crate) fn reload(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGHUP).unwrap();
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        killpg(group, Signal::SIGKILL).unwrap();
        self.child.wait().unwrap();
    }

    fn wait_until_it_serves(&mut self, zones: &[(String, PathBuf)]) -> Result<(), String> {
        let start = Instant::now();
        for (origin, _) in zones {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return Err(format!("it ended with {status}\n{}", self.log()));
                }
                // Ours says when it is ready; over TCP it answers also if it insists on cookies.
                let over_tcp = self.kind == Kind::Wwwlab;
                let transport = if over_tcp { Transport::Tcp } else { Transport::Udp };
                let soa = Question::new(origin, "SOA", transport);
                let answered = ask(self.address, &soa, Duration::from_millis(100));
                if answered.is_ok_and(|answer| answer.aa && answer.answer.len() == 1) {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "{origin} is not served by {}", self.log());
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked to, NSD ends the children that it answers from, and buries them; whoever does not end is killed, with
        // its whole group, so that all are gone before the directory is.
        let Ok(group) = i32::try_from(self.child.id()).map(Pid::from_raw) else {
            return;
        };
        let _ = kill(group, Signal::SIGTERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < FAREWELL {
            std::thread::yield_now();
        }
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Ours draws its port itself.
pub(crate) fn any_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// An address that was free a moment ago, for UDP and TCP, with a port below those from which outgoing connections are
/// drawn, and never the same twice: no parallel test takes it in passing.
pub(crate) fn free_address() -> SocketAddr {
    static DRAWN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    for _ in 0..10_000 {
        let port = 20_000 + (first + DRAWN.fetch_add(1, Ordering::Relaxed) % 10_000) % 10_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port from 20000 to 29999 is free");
}

fn command(
    kind: Kind,
    directory: &Path,
    address: SocketAddr,
    zones: &[(String, PathBuf)],
    set: impl Fn(String) -> String,
) -> Command {
    let mut command = Command::new(kind.program());
    let file = directory.join("conf");
    let text = match kind {
        Kind::Bind => {
            command.args(["-g", "-n", "1", "-c"]).arg(&file);
            bind(directory, address, zones)
        }
        Kind::Nsd => {
            command.args(["-d", "-c"]).arg(&file);
            nsd(directory, address, zones)
        }
        Kind::Knot => {
            command.arg("-c").arg(&file);
            knot(directory, address, zones)
        }
        Kind::Wwwlab => {
            command.args(["serve", "dns", "--listen", &address.to_string()]);
            for (origin, file) in zones {
                command.arg("--zone").arg(format!("{origin}={}", file.display()));
            }
            command.args(set(String::new()).split_whitespace());
            return command;
        }
    };
    fs::write(file, set(text)).unwrap();
    command
}

/// Integrity checks off, since some zones are wrong on purpose; no name servers beside answers and a TTL for every
/// denial, as the other two do.
fn bind(directory: &Path, address: SocketAddr, zones: &[(String, PathBuf)]) -> String {
    let (directory, port) = (directory.display(), address.port());
    let mut text = format!(
        "options {{ directory \"{directory}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
         pid-file none; lock-file none; session-keyfile none; recursion no; allow-query {{ any; }}; notify no;
         minimal-responses no-auth; minimal-any yes; zero-no-soa-ttl no; dnssec-validation no; empty-zones-enable no; max-udp-size 1232;
         answer-cookie no; check-integrity no; check-wildcard no; check-dup-records ignore; }};
         controls {{ }};\n"
    );
    for (origin, file) in zones {
        let file = file.display();
        writeln!(text, "zone \"{origin}\" {{ type primary; file \"{file}\"; check-names ignore; }};")
            .unwrap();
    }
    text
}

/// Without the rate limit of 200 answers a second that Debian builds in.
fn nsd(directory: &Path, address: SocketAddr, zones: &[(String, PathBuf)]) -> String {
    let (directory, port) = (directory.display(), address.port());
    let mut text = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n zonesdir: \"{directory}\"\n database: \"\"
 pidfile: \"{directory}/pid\"\n xfrdfile: \"{directory}/xfrd\"\n xfrdir: \"{directory}\"
 zonelistfile: \"{directory}/zonelist\"\n server-count: 1\n rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0
 minimal-responses: yes\n refuse-any: no\nremote-control:\n control-enable: no\n"
    );
    for (origin, file) in zones {
        writeln!(text, "zone:\n name: \"{origin}\"\n zonefile: \"{}\"", file.display()).unwrap();
    }
    text
}

fn knot(directory: &Path, address: SocketAddr, zones: &[(String, PathBuf)]) -> String {
    let (directory, port) = (directory.display(), address.port());
    let mut text = format!(
        "server:\n    rundir: \"{directory}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1
    tcp-workers: 1\n    background-workers: 1\nlog:\n  - target: stderr\n    any: warning
database:\n    storage: \"{directory}\"\ntemplate:\n  - id: default\n    storage: \"{directory}\"
    zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: none\nzone:\n"
    );
    for (origin, file) in zones {
        writeln!(text, "  - domain: \"{origin}\"\n    file: \"{}\"", file.display()).unwrap();
    }
    text
}
