use std::os::unix::fs::PermissionsExt;

use super::*;

fn lab(folder: &Path) -> (Config, Directory) {
    let (root, state) = (folder.to_path_buf(), folder.join("state"));
    (Config::default(), Directory { root, toml: None, network: Network::Loopback, state })
}

fn names(signing: &Signing) -> Vec<&str> {
    signing.zones().collect()
}

#[test]
fn what_is_signed_has_a_key_that_stays_and_that_nobody_else_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (config, directory) = lab(folder.path());
    let nothing = Signing::of(&config, &directory).unwrap();
    assert!(!nothing.is_on() && nothing.anchors().is_empty());
    let all = nothing.next(&Change::Sign(Vec::new()), &config, &directory).unwrap();
    assert_eq!(names(&all), [".", "127.in-addr.arpa.", "com.", "foobar.com."]);
    let key = directory.dnssec().join("foobar.com.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read_to_string(&key).unwrap();
    let without = all.next(&Change::Unsign(vec!["FOOBAR.com".into()]), &config, &directory).unwrap();
    assert_eq!(names(&without), [".", "127.in-addr.arpa.", "com."]);
    let again = without.next(&Change::Sign(vec!["foobar.com.".into()]), &config, &directory).unwrap();
    assert_eq!((again, fs::read_to_string(&key).unwrap()), (all.clone(), before));
    let anchor = fs::read_to_string(anchor_conf(&directory)).unwrap();
    assert!(anchor.contains("\t. static-key 257 3 13 \""), "{anchor}");
    let none = all.next(&Change::Unsign(Vec::new()), &config, &directory).unwrap();
    assert!(!none.is_on() && !anchor_conf(&directory).exists() && !anchor_key(&directory).exists());
}

#[test]
fn each_server_is_told_of_its_own_zones_and_of_all_children() {
    let folder = tempfile::tempdir().unwrap();
    let (config, directory) = lab(folder.path());
    let all = Signing::default().next(&Change::Sign(Vec::new()), &config, &directory).unwrap();
    let told = |signing: &Signing, server| signing.wanted(server, &config, Network::Loopback);
    let of_root = told(&all, ServiceName::Root);
    assert_eq!(of_root.zones.len(), 1);
    let children: Vec<&str> = of_root.children.iter().map(|child| child.origin.as_str()).collect();
    assert_eq!(children, ["127.in-addr.arpa.", "com.", "foobar.com."]);
    assert_eq!(told(&all, ServiceName::Dns).zones.len(), 2);
    assert_eq!(told(&all, ServiceName::Web), Wanted::default());

    let broken = all.next(&Change::Break("com".into(), Wrong::WrongDs), &config, &directory).unwrap();
    let is_wrong = |wanted: &Wanted| wanted.children.iter().filter(|child| child.is_wrong).count();
    assert_eq!((is_wrong(&of_root), is_wrong(&told(&broken, ServiceName::Root))), (0, 1));
    let mended = broken.next(&Change::Mend(None), &config, &directory).unwrap();
    assert_eq!(mended, all);
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let folder = tempfile::tempdir().unwrap();
    let (config, directory) = lab(folder.path());
    let refused = |signing: &Signing, change: Change| {
        signing.next(&change, &config, &directory).unwrap_err().to_string()
    };
    let nothing = Signing::default();
    let unknown = refused(&nothing, Change::Sign(vec!["fobar.com".into()]));
    assert!(
        unknown.ends_with("publishes fobar.com: there are ., 127.in-addr.arpa., com., foobar.com."),
        "{unknown}"
    );
    let unsigned = refused(&nothing, Change::Break("com".into(), Wrong::Expired));
    assert!(unsigned.starts_with("com. is not signed"), "{unsigned}");
    let all = nothing.next(&Change::Sign(Vec::new()), &config, &directory).unwrap();
    assert!(refused(&all, Change::Break(".".into(), Wrong::WrongDs)).starts_with("the root has no parent"));
    fs::write(directory.dnssec().join("com.key"), "no key").unwrap();
    let strange = nothing.next(&Change::Sign(vec!["com".into()]), &config, &directory).unwrap_err();
    assert!(matches!(strange, DnssecError::Key(_, KeyError::Strange(_))), "{strange}");
}

#[test]
fn a_key_takes_the_place_of_another_which_is_gone_then() {
    let folder = tempfile::tempdir().unwrap();
    let (config, directory) = lab(folder.path());
    let all = Signing::default().next(&Change::Sign(Vec::new()), &config, &directory).unwrap();
    let read = |file: &Path| fs::read_to_string(file).unwrap();
    for (zone, anchors) in [("foobar.com", 1), (".", 2)] {
        let origin = normal(zone);
        let own = directory.dnssec().join(file_name(&origin));
        let before = read(&own);
        let (roll, replace) = (Change::Roll(zone.into()), Change::Replace(zone.into()));
        let early = all.next(&replace, &config, &directory).unwrap_err().to_string();
        assert!(early.contains(&format!("`wwwlab zone roll {origin}` begins that")), "{early}");
        let mut both = all.next(&roll, &config, &directory).unwrap();
        assert!(matches!(both.next(&roll, &config, &directory), Err(DnssecError::Rolling(_))));
        let wanted = both.wanted(ServiceName::Root, &config, Network::Loopback);
        let keys = wanted.children.iter().filter(|child| child.origin == "foobar.com.").count();
        assert_eq!((keys, both.anchors().len()), (3 - anchors, anchors));
        assert_eq!(read(&anchor_key(&directory)).lines().count(), anchors);
        // No earlier than its time, which nobody knows at first.
        assert_eq!(both.due(u32::MAX), None);
        both.wait(zone, 300, 1000);
        assert_eq!((both.until(zone), both.due(1301), both.due(1302)), (Some(1302), None, Some(&*origin)));
        let new = read(&both.zones[&origin].next.as_ref().unwrap().file);
        let mut one = both.next(&replace, &config, &directory).unwrap();
        assert_eq!(read(&own), before, "whoever starts meanwhile finds what it is told of");
        one.settle(&directory).unwrap();
        assert_eq!(read(&own), new);
        assert_ne!(new, before);
        assert_eq!((one.zones[&origin].file.clone(), one.anchors().len()), (own, 1));
        assert_ne!(one.zones[&origin].public, all.zones[&origin].public);
    }
    let mut files: Vec<_> =
        fs::read_dir(directory.dnssec()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    let keys = ["127.in-addr.arpa.key", "anchor.conf", "anchor.key", "com.key", "foobar.com.key", "root.key"];
    assert_eq!(files, keys);
}

#[test]
fn no_zone_leads_out_of_the_directory_or_to_another_ones_key() {
    for (origin, expected) in [
        (".", "root.key"),
        ("root.", "root..key"),
        ("anchor.", "anchor..key"),
        ("foobar.com.", "foobar.com.key"),
        ("../../etc.", "..%2F..%2Fetc.key"),
    ] {
        assert_eq!(file_name(origin), expected);
    }
}
