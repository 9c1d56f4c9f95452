//! A machine of its own for a test: namespaces of Linux in which every port and address is free, port 53 too, and out
//! of which no packet leads.
//!
//! A test cannot move there with its threads; it runs itself again, in a process that was born there. With that
//! process everything ends that it started.

use std::env;
use std::path::Path;
use std::process::Command;

use super::server::program;

/// Set for the process inside.
const INSIDE: &str = "WWWLAB_TEST_ALONE";

/// Runs `body` as the test `name` (its whole path), alone.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        connect();
        body();
        return;
    }
    let output = Command::new(program("unshare", "util-linux"))
        .args(["--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(
        output.status.success() && out.contains("test result: ok. 1 passed"),
        "{name} failed in namespaces of its own (`wwwlab doctor` says whether this machine allows them):\n{out}\n{err}"
    );
}

/// Loopback, and an interface that looks like a network: without one, systemd-resolved asks nobody.
fn connect() {
    for line in [
        "link set lo up",
        "link add outside type veth peer name inside",
        "address add 192.0.2.1/24 dev outside",
        "link set outside up",
        "link set inside up",
    ] {
        run("ip", "iproute2", line.split(' '));
    }
}

/// Shows `file` in the place of `place`, for those inside.
pub(crate) fn put(file: &Path, place: &str) {
    run("mount", "mount", ["--bind", file.to_str().unwrap(), place]);
}

fn run<'a>(name: &str, package: &str, arguments: impl IntoIterator<Item = &'a str>) {
    let output = Command::new(program(name, package)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}
