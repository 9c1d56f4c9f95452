//! The two web servers: a program each, in a process group of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Nothing that is waited for here takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// How often a port is drawn for nginx, which cannot draw one itself.
const DRAWS_MOST: usize = 5;

/// Both, over the same directory; they end with this value.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) ours: SocketAddr,
    pub(crate) nginx: SocketAddr,
    _running: [Running; 2],
    _place: TempDir,
}

#[derive(Debug)]
struct Running(Child);

impl Servers {
    /// Over the files in `site`.
    pub(crate) fn start(site: &Path) -> Self {
        let place = tempfile::tempdir().unwrap();
        // Nobody is asked at the application's address: all targets are for files alone.
        let nowhere = (Ipv4Addr::LOCALHOST, 9).into();
        let root = site.display();
        Self::of(
            place,
            site,
            nowhere,
            &format!(
                "charset utf-8; charset_types text/css text/plain; root {root}; location ~ /\\. {{ return 404; }}"
            ),
        )
    }

    /// In front of an upstream each, without a file.
    pub(crate) fn before(ours: SocketAddr, nginx: SocketAddr) -> Self {
        let place = tempfile::tempdir().unwrap();
        let site = place.path().join("site");
        fs::create_dir(&site).unwrap();
        let server = format!(
            "proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off; proxy_set_header Host $http_host;
             proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
             proxy_set_header X-Forwarded-Host $http_host; proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection $goes_over; location / {{ proxy_pass http://{nginx}; }}"
        );
        Self::of(place, &site, ours, &server)
    }

    fn of(place: TempDir, site: &Path, upstream: SocketAddr, server: &str) -> Self {
        let (ours, our_address) = wwwlab(site, upstream);
        for _ in 0..DRAWS_MOST {
            if let Some((nginx, address)) = nginx(server, place.path()) {
                return Self { ours: our_address, nginx: address, _running: [ours, nginx], _place: place };
            }
        }
        panic!(
            "nginx does not serve: {}",
            fs::read_to_string(place.path().join("error.log")).unwrap_or_default()
        );
    }
}

fn wwwlab(site: &Path, upstream: SocketAddr) -> (Running, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wwwlab"))
        .args(["serve", "web", "--listen", "127.0.0.1:0", "--name", "www.foobar.com", "--app"])
        .arg(upstream.to_string())
        .args(["--served-by", "server", "--site"])
        .arg(site)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let running = Running(child);
    let line = lines.find(|line| line.starts_with("ready at ")).unwrap_or_default();
    let address = line.strip_prefix("ready at ").and_then(|rest| rest.split('/').next());
    let address = address.and_then(|address| address.parse().ok());
    let address = address.unwrap_or_else(|| panic!("wwwlab is not ready: {line}"));
    std::thread::spawn(move || lines.for_each(drop));
    (running, address)
}

/// Set to do what ours does without settings: the character set of texts, redirects without a host, what was
/// compressed before, no dotfiles. Nothing where its port was taken meanwhile.
fn nginx(server: &str, place: &Path) -> Option<(Running, SocketAddr)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let folder = place.display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
         events {{ worker_connections 64; }}
         http {{ include /etc/nginx/mime.types; default_type application/octet-stream; access_log off; sendfile on;
         client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
         uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; absolute_redirect off;
         gzip_static on; gzip_vary on;
         map $http_upgrade $goes_over {{ default upgrade; '' ''; }}
         server {{ listen {address}; {server} }} }}\n"
    );
    let file = place.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut running = Running(
        Command::new(program("nginx"))
            .arg("-c")
            .arg(file)
            .arg("-e")
            .arg(place.join("error.log"))
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap(),
    );
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if running.0.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(start.elapsed() < PATIENCE, "nginx does not listen");
        std::thread::park_timeout(LOOKS_EVERY);
    }
    // Whoever answers there is it only if it is still there.
    running.0.try_wait().unwrap().is_none().then_some((running, address))
}

/// A free port below those from which outgoing connections are drawn, so that no parallel test takes it in passing.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 9_000).unwrap();
    let mut port = first + NEXT.fetch_add(1, Ordering::Relaxed) * 50;
    while TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
        port += 1;
    }
    port
}

/// A program, which Debian may keep where an ordinary user's PATH does not look.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: `make test` installs it, or apt install {name}"))
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.0.id()).map(Pid::from_raw) {
            let _ = kill(group, Signal::SIGTERM);
            let start = Instant::now();
            while matches!(self.0.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(5) {
                std::thread::park_timeout(LOOKS_EVERY);
            }
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}
