//! What each machine has of its own in `/etc`: its name, its hosts file, whom it asks for names.
//!
//! A layer over the machine's `/etc` (overlayfs), in memory, seen on the lab's machine alone. A layer, and not files
//! laid over files: it does not matter whether `/etc/resolv.conf` is there, or a link to nowhere; and what replaces the
//! real one (NetworkManager, systemd-resolved) does not take the lab's away. It belongs to the user, who may so edit the
//! `/etc/hosts` of a lab's machine.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use super::machine;
use super::rights::{self, Rights};
use crate::lab::network::NetworkError;
use crate::lab::network::plan::{Net, Plan};

/// Name services of the real machine that would answer before `/etc/resolv.conf` is read.
const MASKED: [&str; 2] = ["/run/nscd", "/run/systemd/resolve"];
/// The layers' file system; a page of memory for each of a machine's few files is what it comes to.
const LAYERS: &str = "size=64m,mode=755";

/// What an ordinary user may not everywhere.
const OWN_LAYER: &str = "its layer, which takes Linux 5.11 without root: try with sudo";

/// What the machines' mounts begin as: the real ones, and a place in memory for the layers.
#[derive(Debug)]
pub(super) struct Base {
    mnt: File,
    /// Where the layers are.
    layers: PathBuf,
    /// Whose rights the machines are made with.
    pub(super) rights: Rights,
    resolv_conf: String,
    nsswitch_conf: String,
    /// Addresses and names of every machine.
    addresses: Vec<(String, Vec<Net>)>,
}

impl Base {
    /// Makes a mount namespace in which the layers have a place below `place`.
    pub(super) fn prepare(plan: &Plan, place: &Path, rights: Rights) -> Result<Self, NetworkError> {
        let failed = |step| {
            move |source: io::Error| NetworkError::Files { machine: "the machines".into(), step, source }
        };
        let layers = place.join("layers");
        DirBuilder::new().mode(0o700).create(&layers).map_err(failed("a place for its layer"))?;
        unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| match (rights, errno) {
            (Rights::Own, Errno::EPERM) => rights::forbidden(errno.into()),
            _ => NetworkError::Machine { machine: "the machines".into(), source: errno.into() },
        })?;
        // What is mounted here stays here; what the real machine mounts and unmounts is followed.
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
            .map_err(|errno| failed("mounts apart from the machine's")(errno.into()))?;
        mount(Some("wwwlab"), &layers, Some("tmpfs"), MsFlags::MS_NODEV | MsFlags::MS_NOSUID, Some(LAYERS))
            .map_err(|errno| failed("a tmpfs for its layer")(errno.into()))?;
        let mnt = machine::open("mnt").map_err(failed("its namespace"))?;
        let real = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
        let of = |machine: &crate::lab::network::plan::Machine| {
            let addresses = machine.interfaces.iter().flat_map(|interface| interface.addresses.clone());
            (machine.name.clone(), addresses.collect())
        };
        Ok(Self {
            mnt,
            layers,
            rights,
            resolv_conf: resolv_conf(plan),
            nsswitch_conf: nsswitch_conf(&real),
            addresses: plan.machines.iter().map(of).collect(),
        })
    }

    /// Goes back to where the machines' mounts begin.
    pub(super) fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.mnt, CloneFlags::CLONE_NEWNS)?)
    }

    /// Gives the machine `name`, in whose mount namespace this process is, its own files.
    pub(super) fn own_files(&self, name: &str) -> Result<(), NetworkError> {
        let failed =
            |step| move |source: io::Error| NetworkError::Files { machine: name.into(), step, source };
        let own = self.layers.join(name);
        let write = || -> io::Result<()> {
            let layer = own.join("etc");
            DirBuilder::new().mode(0o755).recursive(true).create(&layer)?;
            fs::create_dir(own.join("work"))?;
            fs::create_dir(own.join("nothing"))?;
            fs::write(layer.join("hostname"), format!("{name}\n"))?;
            fs::write(layer.join("hosts"), self.hosts(name))?;
            fs::write(layer.join("resolv.conf"), &self.resolv_conf)?;
            fs::write(layer.join("nsswitch.conf"), &self.nsswitch_conf)?;
            // From here the layers are named by short names without anything that mount(8) would take for its own.
            env::set_current_dir(&own)
        };
        write().map_err(failed("its files"))?;
        let options = match self.rights {
            Rights::Root => "lowerdir=/etc,upperdir=etc,workdir=work",
            Rights::Own => "lowerdir=/etc,upperdir=etc,workdir=work,userxattr",
        };
        mount(Some("wwwlab"), "/etc", Some("overlay"), MsFlags::empty(), Some(options))
            .map_err(|errno| no_layer(name, self.rights, errno))?;
        for masked in MASKED.into_iter().filter(|masked| Path::new(masked).is_dir()) {
            mount(Some("nothing"), masked, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(|errno| failed("no name service of the real machine")(errno.into()))?;
        }
        env::set_current_dir("/").map_err(failed("its place"))?;
        umount2(&self.layers, MntFlags::MNT_DETACH).map_err(|errno| failed("its place")(errno.into()))
    }

    /// Goes back, and takes the layers' place away; the machines keep their layers.
    pub(super) fn leave(self) -> Result<(), NetworkError> {
        let failed = |source| NetworkError::State { path: self.layers.clone(), source };
        self.enter().map_err(failed)?;
        umount2(&self.layers, MntFlags::MNT_DETACH).map_err(|errno| failed(errno.into()))?;
        fs::remove_dir(&self.layers).map_err(failed)
    }

    /// `/etc/hosts`: this machine alone; the others are found by asking.
    fn hosts(&self, name: &str) -> String {
        let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        let own = self.addresses.iter().filter(|(machine, _)| machine == name).flat_map(|(_, nets)| nets);
        own.for_each(|net| text.push_str(&format!("{}\t{name}\n", net.address)));
        text
    }
}

/// Why the machine `name` has no layer over its `/etc`.
fn no_layer(name: &str, rights: Rights, errno: Errno) -> NetworkError {
    let source = io::Error::from(errno);
    match (errno, rights) {
        (Errno::ENODEV, _) => {
            NetworkError::Lacking { what: "layers of files (overlayfs)", module: "overlay", source }
        }
        (_, Rights::Own) => NetworkError::Files { machine: name.into(), step: OWN_LAYER, source },
        (_, Rights::Root) => NetworkError::Files { machine: name.into(), step: "its layer", source },
    }
}

/// `/etc/resolv.conf` (resolv.conf(5)): the provider's resolvers, of which the C library takes three.
fn resolv_conf(plan: &Plan) -> String {
    plan.resolvers().iter().take(3).map(|resolver| format!("nameserver {resolver}\n")).collect()
}

/// `/etc/nsswitch.conf` as it is, but names of hosts come from files and DNS alone (nsswitch.conf(5)).
fn nsswitch_conf(real: &str) -> String {
    let others = real.lines().filter(|line| !line.trim_start().starts_with("hosts:"));
    others.chain(["hosts: files dns"]).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::config::Config;

    #[test]
    fn names_come_from_files_and_dns_whatever_the_machine_says() {
        let real = "passwd: files systemd\nhosts: mymachines resolve [!UNAVAIL=return] files\n";
        assert_eq!(nsswitch_conf(real), "passwd: files systemd\nhosts: files dns\n");
        assert_eq!(nsswitch_conf(""), "hosts: files dns\n");
    }

    #[test]
    fn a_kernel_without_layers_is_told_from_one_that_forbids_them() {
        let said = |rights, errno| no_layer("client", rights, errno).to_string();
        for rights in [Rights::Root, Rights::Own] {
            let lacking = said(rights, Errno::ENODEV);
            assert!(
                lacking.contains("no layers of files (overlayfs): `sudo modprobe overlay` may"),
                "{lacking}"
            );
            assert!(said(rights, Errno::EPERM).contains("give client an /etc of its own (its layer"));
        }
        assert!(said(Rights::Own, Errno::EPERM).contains("Linux 5.11 without root: try with sudo"));
        assert!(!said(Rights::Root, Errno::EPERM).contains("sudo"), "who is root has it already");
    }

    #[test]
    fn at_most_three_resolvers_are_asked() {
        let mut config = Config::default();
        config.resolver.count = 4;
        let text = resolv_conf(&Plan::of(&config));
        assert_eq!(text, "nameserver 192.0.2.53\nnameserver 192.0.2.54\nnameserver 192.0.2.55\n");
    }
}
