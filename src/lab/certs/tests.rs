//! What is made when, and what it says; no clock is read.

use super::*;

const NOW: u64 = 1_800_000_000;

fn lab() -> (tempfile::TempDir, Certs, Vec<Site>) {
    let directory = tempfile::tempdir().unwrap();
    let certs = Certs::at(directory.path().join("certs"));
    let site = Site::of(vec!["www.foobar.com".into(), "foobar.com".into()], true);
    (directory, certs, vec![site])
}

fn shown(certs: &Certs, sites: &[Site], kind: Kind, now: u64) -> Told {
    let ready = certs.ready(sites, kind, now).unwrap();
    certs.tell(&ready[0].file).unwrap()
}

#[test]
fn what_is_good_stays_until_a_third_of_its_time_is_left() {
    let (_directory, certs, sites) = lab();
    let first = shown(&certs, &sites, Kind::Good, NOW);
    assert_eq!(first.names[..3], ["www.foobar.com", "foobar.com", "localhost"]);
    assert!(first.names.contains(&"8.8.8.8".to_owned()) && first.names.contains(&"127.0.0.1".to_owned()));
    assert_eq!((first.from, first.until), (NOW - 3600, NOW + 30 * DAY));
    assert_eq!(shown(&certs, &sites, Kind::Good, NOW + 19 * DAY), first);
    let second = shown(&certs, &sites, Kind::Good, NOW + 21 * DAY);
    assert_ne!(second.serial, first.serial);
    assert_eq!(second.issuer, first.issuer, "the authority is the same");
    let third = shown(&certs, &sites, Kind::Good, NOW + 61 * DAY);
    assert_ne!(third.issuer, first.issuer, "the authority is new before its time is over");
    assert!(shown(&certs, &sites, Kind::Good, NOW).issuer != third.issuer, "the clock was set back");
}

#[test]
fn only_its_owner_reads_a_key_and_everybody_whom_to_trust() {
    let (_directory, certs, sites) = lab();
    let ready = certs.ready(&sites, Kind::Good, NOW).unwrap();
    let mode = |file: &Path| file.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&certs.key()), mode(&ready[0].file)), (0o600, 0o600));
    assert_eq!((mode(&certs.authority()), mode(&certs.revoked())), (0o644, 0o644));
    assert!(!fs::read_to_string(certs.authority()).unwrap().contains("PRIVATE"));
    assert!(fs::read_to_string(certs.place.join(".gitignore")).unwrap().contains('*'));
}

#[test]
fn each_wrong_one_is_wrong_in_one_way() {
    let (_directory, certs, sites) = lab();
    let good = shown(&certs, &sites, Kind::Good, NOW);
    let expired = shown(&certs, &sites, Kind::Expired, NOW);
    assert_eq!((&expired.issuer, &expired.names), (&good.issuer, &good.names));
    assert!(expired.until < NOW && expired.from < expired.until);
    let wrong = shown(&certs, &sites, Kind::WrongName, NOW);
    assert_eq!((&wrong.issuer, wrong.until), (&good.issuer, good.until));
    assert_eq!(wrong.names, ["wrong.foobar.com"]);
    let own = shown(&certs, &sites, Kind::SelfSigned, NOW);
    assert_eq!((&own.issuer, &own.names, own.until), (&own.subject, &good.names, good.until));
    for kind in [Kind::Expired, Kind::WrongName, Kind::SelfSigned] {
        let again = shown(&certs, &sites, kind, NOW + DAY);
        assert!(certs.show().contains(&again), "{kind} is listed");
    }
    assert_eq!(shown(&certs, &sites, Kind::Good, NOW + DAY), good, "the good one is as it was");
}

#[test]
fn a_name_that_the_authority_may_not_vouch_for_is_told() {
    let (_directory, certs, mut sites) = lab();
    let issuer = shown(&certs, &sites, Kind::Good, NOW).issuer;
    assert!(certs.issue(&sites, "Shop.foobar.com.", NOW).unwrap().1);
    let (told, vouches) = certs.issue(&sites, "www.example.org", NOW).unwrap();
    assert!(!vouches);
    assert_eq!((told.names, told.issuer), (vec!["www.example.org".to_owned()], issuer.clone()));
    assert!(!certs.issue(&sites, "evilfoobar.com", NOW).unwrap().1);
    for bad in ["", ".", "../../etc/passwd", "a b", "-a.foobar.com", "a..b", &"a".repeat(64)] {
        assert!(matches!(certs.issue(&sites, bad, NOW), Err(CertsError::Name(_))), "{bad:?}");
    }
    // A site of that name is the lab's own: then there is a new authority, which may.
    sites.push(Site::of(vec!["blog.example".into()], false));
    let ready = certs.ready(&sites, Kind::Good, NOW).unwrap();
    let blog = certs.tell(&ready[1].file).unwrap();
    assert_eq!(blog.names, ["blog.example"]);
    assert_ne!(blog.issuer, issuer);
}

#[test]
fn what_is_taken_back_stays_so_and_its_successor_is_not() {
    let (_directory, certs, sites) = lab();
    assert!(matches!(certs.revoke(&sites, "www.foobar.com", NOW), Err(CertsError::NotIssued(_))));
    let first = shown(&certs, &sites, Kind::Good, NOW);
    assert!(!first.revoked);
    certs.revoke(&sites, "www.foobar.com", NOW).unwrap();
    assert!(shown(&certs, &sites, Kind::Good, NOW + DAY).revoked, "it stays in service");
    let second = certs.renew(&sites, false, NOW + DAY).unwrap().remove(0);
    assert!(!second.revoked);
    certs.revoke(&sites, "www.foobar.com", NOW + DAY).unwrap();
    let list = || certs.read_revoked(&Authority::read(&read(&certs.key()).unwrap()).unwrap());
    assert!(list().has(&first.serial) && list().has(&second.serial));
    // The list is signed anew in time, and keeps what is on it.
    shown(&certs, &sites, Kind::Good, NOW + 25 * DAY);
    assert!(!list().is_old(NOW + 25 * DAY) && list().has(&first.serial));
}

#[test]
fn what_is_not_the_labs_is_left_alone() {
    let (_directory, certs, sites) = lab();
    fs::create_dir_all(&certs.place).unwrap();
    fs::write(certs.key(), "precious").unwrap();
    assert!(matches!(certs.ready(&sites, Kind::Good, NOW), Err(CertsError::Strange(_))));
    assert_eq!(fs::read_to_string(certs.key()).unwrap(), "precious");
}
