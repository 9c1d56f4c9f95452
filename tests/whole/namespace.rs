//! Mounts of its own for a test: file systems that are small, or become read-only, which nobody else sees, and which end with it.
//!
//! A test cannot move there with its threads; it runs itself again, in a process that was born there.

use std::env;
use std::path::Path;
use std::process::Command;

/// Set for the process inside.
const INSIDE: &str = "WWWLAB_TEST_INSIDE";

/// Runs `body` as the test `name` (its whole path) with mounts of its own.
pub(crate) fn with_mounts_of_its_own(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare is missing: apt install util-linux");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(
        output.status.success() && out.contains("test result: ok. 1 passed"),
        "{name} failed in namespaces of its own (`wwwlab doctor` says whether this machine allows them):\n{out}\n{err}"
    );
}

/// Makes `directory` a file system in memory of so many bytes.
pub(crate) fn small(directory: &Path, bytes: &str) {
    std::fs::create_dir_all(directory).unwrap();
    mount(&["-t", "tmpfs", "-o", &format!("mode=700,size={bytes}"), "none"], directory);
}

/// Lets it be written, or not.
pub(crate) fn remount(directory: &Path, how: &str) {
    mount(&["-o", &format!("remount,{how}")], directory);
}

fn mount(options: &[&str], directory: &Path) {
    let output = Command::new("mount").args(options).arg(directory).output().expect("mount is missing");
    assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
}
