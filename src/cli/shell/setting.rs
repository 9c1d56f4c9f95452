//! What a shell on a machine of the lab is started with: the user's own, with its own settings, told which lab and machine
//! it is on.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use crate::lab::certs::Certs;
use crate::lab::config::Network;
use crate::lab::directory::Directory;
use crate::lab::doctor::{ADMINISTRATORS, in_path};

/// Says on which machine of the lab a shell is.
pub(crate) const HOST_VARIABLE: &str = "WWWLAB_HOST";

/// From the lab no proxy can be reached.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
];
/// Whom to trust, for OpenSSL, curl, git, Python's requests and Node: in the lab nobody but its own authority vouches for
/// anybody.
const TRUST: [&str; 5] =
    ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];

/// What the shells read, by their names below the state's `shell/`.
const FILES: [(&str, &str); 3] = [
    ("bashrc", include_str!("bashrc")),
    (".zshenv", include_str!("zshenv")),
    (".zshrc", include_str!("zshrc")),
];

/// Prepares `command` for the machine `host` of the lab in `directory`; with `interactive` it becomes the user's shell.
pub(super) fn prepare(
    command: &mut Command,
    directory: &Directory,
    host: &str,
    interactive: bool,
) -> io::Result<()> {
    command.env("WWWLAB_NETWORK", Network::Hosts.to_string()).env(HOST_VARIABLE, host);
    match &directory.toml {
        Some(_) => command.env("WWWLAB_LAB", &directory.root),
        None => command.env_remove("WWWLAB_LAB"),
    };
    if let Some(state) = directory.state.parent() {
        command.env("WWWLAB_STATE", state);
    }
    if env::var_os("HOSTNAME").is_some() {
        command.env("HOSTNAME", host);
    }
    let authority = Certs::of(directory).authority();
    for variable in TRUST {
        command.env(variable, &authority);
    }
    for proxy in PROXIES {
        command.env_remove(proxy);
    }
    let own = env::current_exe().ok().filter(|own| in_path("wwwlab").is_none_or(|found| !same(&found, own)));
    if let Ok(path) = path(env::var_os("PATH").as_deref(), own.as_deref().and_then(Path::parent)) {
        command.env("PATH", path);
    }
    if interactive {
        shell(command, directory, host)?;
    }
    Ok(())
}

/// The user's own shell, with the machine's name as its prompt.
fn shell(command: &mut Command, directory: &Directory, host: &str) -> io::Result<()> {
    let own = env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let shell = own.unwrap_or_else(|| if in_path("bash").is_some() { "bash" } else { "sh" }.into());
    let files = files(&directory.state.join("shell"))?;
    command.arg(&shell);
    match Path::new(&shell).file_name().and_then(OsStr::to_str) {
        Some("bash") => {
            command.arg("--rcfile").arg(files.join("bashrc"));
        }
        Some("zsh") => {
            if let Some(own) = env::var_os("ZDOTDIR") {
                command.env("WWWLAB_ZDOTDIR", own);
            }
            command.env("ZDOTDIR", files);
        }
        _ => {
            let sign = if geteuid().is_root() { '#' } else { '$' };
            command.env("PS1", format!("{host}{sign} "));
        }
    }
    Ok(())
}

/// Where the shells' files are; whatever is there is put right. A shell that is just starting reads them whole.
fn files(place: &Path) -> io::Result<PathBuf> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(place)?;
    for (name, text) in FILES {
        let file = place.join(name);
        if fs::read(&file).is_ok_and(|there| there == text.as_bytes()) {
            continue;
        }
        let new = place.join(format!("{name}.{}", std::process::id()));
        fs::write(&new, text)?;
        fs::rename(&new, &file)?;
    }
    Ok(place.into())
}

/// PATH with this program's own directory before it, if that has to be, and the administrator's behind it.
fn path(path: Option<&OsStr>, own: Option<&Path>) -> Result<OsString, env::JoinPathsError> {
    let mut all: Vec<PathBuf> = own.map(Path::to_path_buf).into_iter().collect();
    all.extend(path.iter().flat_map(env::split_paths));
    for further in ADMINISTRATORS.map(PathBuf::from) {
        if !all.contains(&further) {
            all.push(further);
        }
    }
    env::join_paths(all)
}

fn same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_the_administrators_tools_are_found() {
        let made = |given: Option<&str>, own: Option<&str>| {
            path(given.map(OsStr::new), own.map(Path::new)).unwrap().into_string().unwrap()
        };
        assert_eq!(
            made(Some("/usr/bin:/usr/sbin"), Some("/lab/bin")),
            "/lab/bin:/usr/bin:/usr/sbin:/usr/local/sbin:/sbin"
        );
        assert_eq!(made(None, None), "/usr/local/sbin:/usr/sbin:/sbin");
    }

    #[test]
    fn files_are_put_right() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("shell");
        files(&place).unwrap();
        fs::write(place.join("bashrc"), "rm -rf").unwrap();
        files(&place).unwrap();
        assert_eq!(fs::read_to_string(place.join("bashrc")).unwrap(), include_str!("bashrc"));
        assert_eq!(fs::read_dir(&place).unwrap().count(), FILES.len(), "nothing half-made is left");
    }
}
