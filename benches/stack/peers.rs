//! The programs that a student would otherwise install: BIND publishes foobar.com, nginx serves the site and
//! passes PHP to PHP-FPM over a Unix socket, a PHP page does what the application's home page does, MariaDB keeps
//! the data.
//!
//! All four are started at the same moment, in the foreground, each with a configuration of its own from
//! `peers/`, as the user who runs the bench. Files and services that the system has for them stay untouched; what
//! the configurations leave out is the distribution's default (PHP) or the program's own (the others).

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::{Group, User, getegid, geteuid};
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use crate::ground::ours::new_lab;
use crate::ground::ports::Ports;
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot, of};
use crate::installed::Programs;
use crate::page::ENTRIES;
use crate::probe::{Probe, What};
use crate::stack::{Running, Stack};

const NAME: &str = "peers";

const SERVER: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Configurations, with `{words}` to be filled in.
const CONFIGURATIONS: [(&str, &str); 4] = [
    ("named.conf", include_str!("peers/named.conf")),
    ("nginx.conf", include_str!("peers/nginx.conf")),
    ("php-fpm.conf", include_str!("peers/php-fpm.conf")),
    ("mariadb.cnf", include_str!("peers/mariadb.cnf")),
];

/// All four, their data initialised.
#[derive(Debug)]
pub(crate) struct Peers {
    programs: Programs,
    place: PathBuf,
    dns: u16,
    http: u16,
    guard: Guard,
}

impl Peers {
    /// Writes configurations and data below `place`, starts all once and ends them.
    pub(crate) fn prepare(
        programs: &Programs,
        place: &Path,
        ports: &mut Ports,
        guard: &Guard,
        stop: &Stop,
    ) -> Result<Self, Trouble> {
        let peers = Self {
            programs: programs.clone(),
            place: place.join("peers"),
            dns: ports.free("named", &[SERVER])?,
            http: ports.free("nginx", &[SERVER])?,
            guard: guard.clone(),
        };
        fs::create_dir(&peers.place).map_err(of(&peers.place))?;
        let lab = peers.place.join("lab");
        // For its zone and its site.
        new_lab(&lab, "", guard, stop)?;
        peers.configure(&lab)?;
        peers.initialise_database(stop)?;
        let running = peers.start()?;
        running.first_right_answers(stop)?;
        running.end()?;
        Ok(peers)
    }

    fn configure(&self, lab: &Path) -> Result<(), Trouble> {
        let user =
            User::from_uid(geteuid()).map_err(|error| cannot("find out who runs this")(error.into()))?;
        let group =
            Group::from_gid(getegid()).map_err(|error| cannot("find out who runs this")(error.into()))?;
        let words = [
            ("{place}", self.place.display().to_string()),
            ("{lab}", lab.display().to_string()),
            ("{dns}", self.dns.to_string()),
            ("{http}", self.http.to_string()),
            ("{user}", user.map_or_else(|| geteuid().to_string(), |user| user.name)),
            ("{group}", group.map_or_else(|| getegid().to_string(), |group| group.name)),
        ];
        for (name, text) in CONFIGURATIONS {
            let text = words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
            self.write(name, &text)?;
        }
        let page = include_str!("peers/index.php")
            .replace("{where}", &format!("unix_socket={}/db.sock", self.place.display()))
            .replace("{user}", "foobar")
            .replace("{password}", "");
        let file = lab.join("site/index.php");
        fs::write(&file, page).map_err(of(&file))
    }

    /// An empty data directory, then the guestbook's tables and entries.
    fn initialise_database(&self, stop: &Stop) -> Result<(), Trouble> {
        let mut entries = String::from(include_str!("peers/guestbook.sql"));
        for (name, message) in ENTRIES {
            entries.push_str(&format!(
                "INSERT INTO entries (name, message, written_at) VALUES ('{name}', '{message}', ROUND(1000 * UNIX_TIMESTAMP(NOW(3))));\n"
            ));
        }
        self.write("guestbook.sql", &entries)?;
        let mut command = Command::new(&self.programs.mariadb_install_db);
        command.arg(self.option("--defaults-file=", "mariadb.cnf"));
        command.arg("--skip-test-db").arg(self.option("--extra-file=", "guestbook.sql"));
        let said = self.place.join("mariadb-install-db.log");
        Program::run("mariadb-install-db", &mut command, said, &self.guard, stop)
    }

    fn named(&self) -> Command {
        let mut command = Command::new(&self.programs.named);
        // In the foreground, saying everything to stderr.
        command.args(["-g", "-c"]).arg(self.place.join("named.conf"));
        command
    }

    fn nginx(&self) -> Command {
        let mut command = Command::new(&self.programs.nginx);
        command.args(["-e", "stderr", "-c"]).arg(self.place.join("nginx.conf"));
        command
    }

    fn php_fpm(&self) -> Command {
        let mut command = Command::new(&self.programs.php_fpm);
        // Root's own pool is refused otherwise; to other users it says nothing.
        command.args(["--nodaemonize", "--allow-to-run-as-root", "--fpm-config"]);
        command.arg(self.place.join("php-fpm.conf"));
        command
    }

    fn mariadbd(&self) -> Command {
        let mut command = Command::new(&self.programs.mariadbd);
        command.arg(self.option("--defaults-file=", "mariadb.cnf"));
        command
    }

    fn option(&self, option: &str, file: &str) -> String {
        format!("{option}{}", self.place.join(file).display())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Trouble> {
        let file = self.place.join(name);
        fs::write(&file, text).map_err(of(&file))
    }
}

impl Stack for Peers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn start(&self) -> Result<Running, Trouble> {
        let watch = Stopwatch::start();
        let mut running = Running {
            stack: NAME,
            watch,
            programs: Vec::new(),
            probes: vec![
                Probe::new(What::NameServer, (SERVER, self.dns).into()),
                Probe::new(What::Page, (SERVER, self.http).into()),
            ],
            ends_by: Signal::SIGTERM,
        };
        // Who needs longest goes first.
        let commands = [
            ("mariadbd", self.mariadbd()),
            ("php-fpm", self.php_fpm()),
            ("nginx", self.nginx()),
            ("named", self.named()),
        ];
        for (name, mut command) in commands {
            let said = self.place.join(name).with_extension("log");
            running.programs.push(Program::start(name, &mut command, said, &self.guard)?);
        }
        Ok(running)
    }
}
