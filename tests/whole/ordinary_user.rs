//! As an ordinary user: the ports are stand-ins where only root may bind the real ones, and everything works.
//!
//! Run by root, the lab is given to the user `nobody`; run by anybody else, it is already an ordinary user's.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use super::stage::{PROGRAM, Said};

const NOBODY: &str = "65534";

/// Runs `line` in a shell as an ordinary user, in `directory`.
pub(super) fn as_user(directory: &Path, line: &str) -> Said {
    let root = nix::unistd::geteuid().is_root();
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "sh", "-c", line]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    };
    let path = format!("{}:{}", directory.display(), env::var("PATH").unwrap());
    command.current_dir(directory).env("PATH", path).env("HOME", directory);
    Said::from(command.output().expect("setpriv is part of util-linux"))
}

#[test]
fn the_whole_path_without_root() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    // The program must be where an ordinary user can reach it.
    fs::copy(PROGRAM, place.join("wwwlab")).unwrap();
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    as_user(place, "wwwlab new lab").ok();
    let lab = place.join("lab");
    as_user(&lab, "sed -i 's/^# app = \"auto\"/app = 0/' lab.toml").ok();
    let _end = Ending(&lab);
    let up = as_user(&lab, "PATH=$PATH:.. wwwlab up -d").ok();
    let status: serde_json::Value =
        serde_json::from_str(&as_user(&lab, "../wwwlab status --json").ok()).unwrap();
    let port = status["ports"]["dns"].as_u64().unwrap();
    let low_ports_are_open = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .is_ok_and(|start| start.trim().parse::<u16>().is_ok_and(|start| start <= 53));
    if !low_ports_are_open {
        assert_ne!(port, 53);
        let reasons = status["ports"]["reasons"].to_string();
        assert!(reasons.contains("instead of 53") && reasons.contains("instead of 80"), "{reasons}");
        assert!(up.contains("instead of 53"), "the reason is on the screen: {up}");
    }
    let printed = up.lines().find(|line| line.trim_start().starts_with("dig @127.0.0.1")).unwrap();
    let answer = as_user(&lab, printed.trim().split("  ").next().unwrap()).ok();
    assert!(answer.contains("flags: qr aa rd;") && answer.contains("A\t127.0.0.1"), "{answer}");
    let page = as_user(&lab, "../wwwlab curl -si http://www.foobar.com/").ok();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let who = as_user(&lab, &format!("ps -o user= -p {}", status["pid"])).ok();
    assert!(!nix::unistd::geteuid().is_root() || who.trim() != "root", "{who}");
}

#[test]
fn a_database_server_without_root() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::copy(PROGRAM, place.join("wwwlab")).unwrap();
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    // A space in its path is what the server's own installer cannot bear.
    as_user(place, "wwwlab new 'a lab'").ok();
    let lab = place.join("a lab");
    let settings = "[ports]\ndns = 0\nhttp = 0\napp = 0\ndb = 0\n[app]\n\
                    command = \"sh -c 'exec python3 -m http.server -b $HOST $PORT'\"\n";
    as_user(&lab, &format!("printf '%s' '{}' > lab.toml", settings.replace('\'', "'\\''"))).ok();
    let _end = Ending(&lab);
    as_user(&lab, "../wwwlab up -d --db mysql").ok();
    let me = as_user(&lab, "../wwwlab db -- -N -e 'SELECT current_user()'").ok();
    assert_eq!(me, "wwwlab@%\n");
    let administrator =
        as_user(&lab, "mariadb --no-defaults -S .wwwlab/loopback/db.sock -N -e 'SELECT 1'").ok();
    assert_eq!(administrator, "1\n");
    let status: serde_json::Value =
        serde_json::from_str(&as_user(&lab, "../wwwlab status --json").ok()).unwrap();
    let services = status["services"].as_array().unwrap();
    let db = services.iter().find(|service| service["name"] == "db").unwrap();
    let who = as_user(&lab, &format!("ps -o user= -p {}", db["pid"])).ok();
    assert!(!nix::unistd::geteuid().is_root() || who.trim() != "root", "{who}");
}

/// PHP's process manager takes other settings of root, and other files are its own.
#[test]
fn php_without_root() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::copy(PROGRAM, place.join("wwwlab")).unwrap();
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    let example = format!("{}/examples/php", env!("CARGO_MANIFEST_DIR"));
    let lab = place.join("lab");
    let copied = Command::new("cp").args(["-r", &example]).arg(&lab).status().unwrap();
    assert!(copied.success());
    let root = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    let settings = fs::read_to_string(lab.join("lab.toml")).unwrap().replace("../../", &root);
    fs::write(lab.join("lab.toml"), format!("[ports]\ndns = 0\nhttp = 0\napp = 0\n{settings}")).unwrap();
    if nix::unistd::geteuid().is_root() {
        let owned = Command::new("chown").args(["-R", NOBODY]).arg(&lab).status().unwrap();
        assert!(owned.success());
    }
    let _end = Ending(&lab);
    as_user(&lab, "../wwwlab up -d").ok();
    let signed =
        as_user(&lab, "../wwwlab curl -si -d name=Ada -d message=Hello http://www.foobar.com/sign").ok();
    assert!(signed.contains("303 See Other"), "{signed}");
    let page = as_user(&lab, "../wwwlab curl -si http://www.foobar.com/").ok();
    assert!(page.contains(" 200 ") && page.contains("<b>Ada</b>"), "{page}");
    let status: serde_json::Value =
        serde_json::from_str(&as_user(&lab, "../wwwlab status --json").ok()).unwrap();
    let services = status["services"].as_array().unwrap();
    let app = services.iter().find(|service| service["name"] == "app").unwrap();
    let who = as_user(&lab, &format!("ps -o user= -p {}", app["pid"])).ok();
    assert!(!nix::unistd::geteuid().is_root() || who.trim() != "root", "{who}");
}

/// Ends the lab in a directory, whatever becomes of the test.
pub(super) struct Ending<'a>(pub(super) &'a Path);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        as_user(self.0, "../wwwlab down");
    }
}
