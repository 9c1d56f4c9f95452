//! A real MariaDB server for tests, in a directory of its own, as whoever runs the test: root or not.
//!
//! Each server has a guard, a shell that reads from the test's process: when that ends, however it ends, the guard kills
//! the server and removes its directory.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test that includes this needs a part of it, from another place"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// Runs the server (the arguments behind the directory), says its number, and waits for a word: `keep` leaves the
/// directory, anything else, and the end of whoever would say it, removes it. The server is killed in any case.
const GUARD: &str = r#"
directory=$1; shift
"$@" </dev/null & server=$!
echo $server
read -r word
kill -KILL $server 2>/dev/null
wait $server 2>/dev/null
[ "$word" = keep ] || rm -rf "$directory"
"#;

/// Starts that are tried: between finding a free port and the server's taking it, somebody else may.
const STARTS_MOST: u32 = 5;

/// How often it is looked whether a server stands still, a millisecond apart.
const LOOKS_MOST: u32 = 30_000;

/// The user that tests log in as, who may do anything, and their password: one that a URL cannot carry as it is.
pub const USER: &str = "ada";
/// See [`USER`].
pub const PASSWORD: &str = "c0rrect/horse@battery";

/// A running server; it ends with this.
#[derive(Debug)]
pub struct MariaDb {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    directory: PathBuf,
    options: Vec<String>,
    guard: Mutex<Option<Guard>>,
    databases: AtomicU32,
}

#[derive(Debug)]
struct Guard {
    shell: Child,
    word: ChildStdin,
    server: u32,
}

impl MariaDb {
    /// The one that all tests of this process share, each with a database of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// One more, with further `options`, for a test that does it harm.
    pub fn start(options: &[&str]) -> Self {
        let directory = directory();
        initialise(&directory.join("data"));
        let setup = format!(
            "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        );
        fs::write(directory.join("setup.sql"), setup).unwrap();
        let client = format!(
            "[client]\nhost=127.0.0.1\nuser={USER}\npassword=\"{PASSWORD}\"\ndefault-character-set=utf8mb4\n"
        );
        private(&directory.join("client.cnf"), &client);
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server =
            Self { port: 0, directory, options, guard: Mutex::new(None), databases: AtomicU32::new(0) };
        for _ in 0..STARTS_MOST {
            server.port = free_port();
            match server.spawn() {
                Ok(()) => return server,
                Err(said) => assert!(said.contains("Address already in use"), "{said}"),
            }
        }
        panic!("no port stays free");
    }

    /// A new empty database; returns its name.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name}"));
        name
    }

    /// The way to database `name`, as a URL.
    pub fn url(&self, name: &str) -> String {
        let password: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("mysql://{USER}:{password}@127.0.0.1:{}/{name}", self.port)
    }

    /// The same in a file that only its owner may read.
    pub fn url_file(&self, name: &str) -> PathBuf {
        let file = self.directory.join(format!("{name}.url"));
        private(&file, &format!("{}\n", self.url(name)));
        file
    }

    /// What the real client prints for `statement`, without headings.
    pub fn sql(&self, statement: &str) -> String {
        let client = self.client().arg("--execute").arg(statement).output().expect("mariadb-client");
        assert!(client.status.success(), "{statement}: {}", String::from_utf8_lossy(&client.stderr));
        String::from_utf8(client.stdout).unwrap()
    }

    /// The real client, logged in.
    pub fn client(&self) -> Command {
        let mut client = Command::new("mariadb");
        client.arg(format!("--defaults-file={}", self.directory.join("client.cnf").display()));
        client.args(["--batch", "--skip-column-names", "--protocol=tcp"]);
        client.arg(format!("--port={}", self.port));
        client
    }

    /// Has the server stand still; when this returns, each of its threads does. A signal alone is obeyed when the machine comes
    /// to it, and a question may be answered before.
    pub fn stand_still(&self) {
        let server = self.signal("STOP");
        let state = |stat: String| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        let stands_still = || {
            let threads = fs::read_dir(format!("/proc/{server}/task")).unwrap().flatten();
            let mut states = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
            states.all(|stat| state(stat) == Some('T'))
        };
        for _ in 0..LOOKS_MOST {
            if stands_still() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("it does not stand still");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// Sends the server a signal: `STOP`, `CONT`. Its process.
    fn signal(&self, name: &str) -> u32 {
        let server = self.guard.lock().unwrap().as_ref().expect("a server that runs").server;
        assert!(
            Command::new("kill").args([&format!("-{name}"), &server.to_string()]).status().unwrap().success()
        );
        server
    }

    /// Kills the server (SIGKILL); its data stay. When this returns, it is gone.
    pub fn kill(&self) {
        let guard = self.guard.lock().unwrap().take().expect("a server that runs");
        guard.end("keep\n");
    }

    /// Starts it again, at the same port with the same data.
    pub fn restart(&self) {
        self.spawn().unwrap();
    }

    /// Starts the server and waits until it says that it is ready; else returns what it said.
    fn spawn(&self) -> Result<(), String> {
        let data = self.directory.join("data");
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "guard"]).arg(&self.directory).arg(program("mariadbd")).args(owner());
        shell.arg(format!("--datadir={}", data.display()));
        shell.arg(format!("--socket={}", self.directory.join("socket").display()));
        shell.arg(format!("--pid-file={}", self.directory.join("pid").display()));
        // A server that starts clears away what others have in a directory that they share.
        shell.arg(format!("--tmpdir={}", data.display()));
        shell.arg(format!("--init-file={}", self.directory.join("setup.sql").display()));
        shell.arg(format!("--port={}", self.port)).args(["--bind-address=127.0.0.1", "--skip-name-resolve"]);
        shell.args(LEAN).args(&self.options);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = shell.spawn().expect("sh");
        let word = shell.stdin.take().unwrap();
        let mut number = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let server = number.trim().parse().unwrap();
        let guard = Guard { shell, word, server };
        let mut guard = guard;
        let mut said = BufReader::new(guard.shell.stderr.take().unwrap());
        let mut all = String::new();
        loop {
            let from = all.len();
            if said.read_line(&mut all).unwrap() == 0 || all[from..].contains("Aborting") {
                guard.end("keep\n");
                return Err(all);
            }
            if all[from..].contains("ready for connections") {
                break;
            }
        }
        // What it says later nobody reads, but it must be able to say it.
        thread::spawn(move || said.read_to_end(&mut Vec::new()));
        *self.guard.lock().unwrap() = Some(guard);
        Ok(())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        match self.guard.lock().unwrap().take() {
            Some(guard) => guard.end("remove\n"),
            None => _ = fs::remove_dir_all(&self.directory),
        }
    }
}

impl Guard {
    fn end(mut self, word: &str) {
        let _ = self.word.write_all(word.as_bytes());
        drop(self.word);
        self.shell.wait().unwrap();
    }
}

/// What keeps a server small and quick to start, and changes nothing of what it answers. What it has written outlives its
/// process, not a loss of power: many tests at once would wait for one disk, longer than the application does.
const LEAN: [&str; 8] = [
    "--debug-no-sync",
    "--skip-sync-frm",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--performance-schema=OFF",
    "--key-buffer-size=1M",
];

/// Makes the system tables in `data`.
fn initialise(data: &Path) {
    let mut install = Command::new(program("mariadb-install-db"));
    install.args(owner()).arg(format!("--datadir={}", data.display()));
    install.arg(format!("--tmpdir={}", data.parent().unwrap_or(data).display()));
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]);
    // Without `--force` it wants this machine's name to be known.
    let made = install.args(["--force", "--innodb-log-file-size=8M"]).output().expect("mariadb-install-db");
    let [said, complained] =
        [&made.stdout, &made.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(made.status.success(), "{said}\n{complained}");
}

/// The first options of all its programs: no file of the system's is read, and root has to be named.
fn owner() -> Vec<&'static str> {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut options = vec!["--no-defaults"];
    options.extend(is_root.then_some("--user=root"));
    options
}

/// Servers are where ordinary users do not look for programs.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    places
        .find_map(|place| Some(place.join(name)).filter(|file| file.is_file()))
        .unwrap_or_else(|| panic!("{name} is missing: apt install mariadb-server mariadb-client"))
}

/// A directory of its own, of a short name: a socket's path has 107 bytes at most.
fn directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("wwwlab-mariadb-{}-{count}", std::process::id()));
    // Of a process that had this number before.
    let _ = fs::remove_dir_all(&directory);
    fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
    directory
}

fn private(file: &Path, text: &str) {
    let mut open = fs::OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    open.open(file).unwrap().write_all(text.as_bytes()).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
