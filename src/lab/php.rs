//! PHP's process manager (php-fpm) as the lab runs it: which program, and the settings written for it.
//!
//! Debian and Ubuntu put the version into the program's name and the program where only root looks.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Processes that answer at most; each answers one request at a time.
const WORKERS_MOST: u32 = 8;

/// The words of the command, and the settings for the file at `settings`.
pub(super) fn command(wanted: &str, settings: &Path) -> Vec<String> {
    let program = find(wanted).map_or_else(|| wanted.to_owned(), |path| path.display().to_string());
    let file = settings.display().to_string();
    // Root may run it too: the lab is root's then, and so is what it serves.
    [&program, "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", &file].map(str::to_owned).into()
}

/// Settings of its own, so that it meets no other on this machine.
pub(super) fn settings(address: SocketAddr) -> String {
    let user = if nix::unistd::geteuid().is_root() { "user = root\ngroup = root\n" } else { "" };
    format!(
        "; Written by wwwlab at each start.\n\
         [global]\nerror_log = /proc/self/fd/2\n\
         [www]\n{user}listen = {address}\n\
         pm = ondemand\npm.max_children = {WORKERS_MOST}\n\
         clear_env = no\ncatch_workers_output = yes\ndecorate_workers_output = no\n\
         php_admin_flag[log_errors] = on\nphp_admin_flag[display_errors] = off\n\
         ; A script that was saved is run at the next request, not up to two seconds later.\n\
         php_admin_value[opcache.revalidate_freq] = 0\n"
    )
}

/// `wanted` on the PATH or where system programs are; else the newest of its versions, `php-fpm8.2`.
fn find(wanted: &str) -> Option<PathBuf> {
    if wanted.contains('/') {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let places: Vec<PathBuf> = std::env::split_paths(&path).chain(system).collect();
    let exact = places.iter().map(|place| place.join(wanted)).find(|program| program.is_file());
    exact.or_else(|| newest(wanted, &places))
}

fn newest(wanted: &str, places: &[PathBuf]) -> Option<PathBuf> {
    let entries = places.iter().filter_map(|place| place.read_dir().ok()).flatten().flatten();
    let versions = entries.filter_map(|entry| {
        let name = entry.file_name();
        let version = name.to_str()?.strip_prefix(wanted)?;
        let numbers: Option<Vec<u32>> = version.split('.').map(|number| number.parse().ok()).collect();
        Some((numbers?, entry.path()))
    });
    versions.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found_by_number() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["php-fpm8.2", "php-fpm8.10", "php-fpm7.4", "php-fpm.conf", "php-fpm-x"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let places = [directory.path().to_owned()];
        assert_eq!(newest("php-fpm", &places), Some(directory.path().join("php-fpm8.10")));
        assert_eq!(newest("other", &places), None);
    }
}
