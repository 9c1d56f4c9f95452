//! Zone files are edited while the lab runs.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use super::asker::{Asker, Transport};
use super::stage::{Stage, until};

const ZONE: &str = "zones/loopback/foobar.com.zone";

#[test]
fn a_saved_edit_is_served() {
    let stage = Stage::up();
    stage.edit(ZONE, |zone| format!("{zone}\nnew IN A 127.0.0.9\n"));
    until("the new name answers", || stage.dig("127.0.0.1", "new.foobar.com +short") == "127.0.0.9\n");
    // Editors that write a new file and rename it over the old one are seen, too.
    let path = stage.root().join(ZONE);
    let text = fs::read_to_string(&path).unwrap().replace("127.0.0.9", "127.0.0.8");
    fs::write(path.with_extension("tmp"), text).unwrap();
    fs::rename(path.with_extension("tmp"), &path).unwrap();
    until("the renamed file answers", || stage.dig("127.0.0.1", "new.foobar.com +short") == "127.0.0.8\n");
}

#[test]
fn a_broken_edit_keeps_the_old_zone_and_names_the_place() {
    let stage = Stage::up();
    let good = fs::read_to_string(stage.root().join(ZONE)).unwrap();
    let line = good.lines().count() + 1;
    stage.edit(ZONE, |zone| format!("{}\nbroken IN A 127.0.0.300\n", zone.trim_end()));
    let place = format!("foobar.com.zone:{line}:");
    until("the mistake is reported", || stage.log("dns").contains(&place));
    assert!(stage.log("dns").contains("the old one stays in service"), "{}", stage.log("dns"));
    assert!(stage.dig("127.0.0.1", "www.foobar.com +short").contains("127.0.0.1"));
    let list = stage.wwwlab(["zone", "list"]).ok();
    assert!(list.contains(&place), "the mistake stays visible: {list}");
    fs::write(stage.root().join(ZONE), format!("{good}\nmended IN A 127.0.0.7\n")).unwrap();
    until("the mended zone answers", || stage.dig("127.0.0.1", "mended.foobar.com +short") == "127.0.0.7\n");
    assert!(!stage.wwwlab(["zone", "list"]).ok().contains(&place));
}

#[test]
fn a_zone_that_is_broken_from_the_start_does_not_keep_the_lab_down() {
    let stage = Stage::new();
    let good = fs::read_to_string(stage.root().join(ZONE)).unwrap();
    fs::write(stage.root().join(ZONE), "this is no zone\n").unwrap();
    let up = stage.wwwlab(["up", "-d"]).ok();
    let warning = "zone foobar.com. is refused, nothing answers for it: ";
    assert!(up.contains(warning), "{up}");
    assert!(stage.wwwlab(["status"]).ok().contains(warning));
    assert!(stage.wwwlab(["restart", "dns"]).ok().contains(warning));
    assert!(stage.dig("127.0.0.1", "www.foobar.com").contains("SERVFAIL"));
    fs::write(stage.root().join(ZONE), good).unwrap();
    until("the mended zone answers", || stage.dig("127.0.0.1", "www.foobar.com +short") == "127.0.0.1\n");
    until("the warning is gone", || !stage.wwwlab(["status"]).ok().contains("is refused"));
}

#[test]
fn a_name_server_that_is_down_publishes_nothing_and_that_is_listed() {
    let stage = Stage::up();
    stage.wwwlab(["stop", "dns"]).ok();
    let list = stage.wwwlab(["zone", "list"]).ok();
    assert!(
        list.contains("foobar.com.  ") && list.contains("none") && list.contains("dns is not up"),
        "{list}"
    );
}

#[test]
fn a_file_that_is_still_being_written_is_not_read_by_half() {
    let stage = Stage::up();
    let zone = fs::read_to_string(stage.root().join(ZONE)).unwrap() + "\nnew IN A 127.0.0.9\n";
    let loads = || stage.log("dns").lines().filter(|line| line.contains("zone foobar.com.")).count();
    until("the zone is in service", || loads() == 1);
    let (first, second) = zone.split_at(zone.len() / 2);
    let mut file = File::create(stage.root().join(ZONE)).unwrap();
    std::io::Write::write_all(&mut file, first.as_bytes()).unwrap();
    // Time passes, many times what a file must be quiet for; but a writer is to be heard of now and then.
    for piece in second.as_bytes().chunks(second.len().div_ceil(20)) {
        assert!(stage.dig("127.0.0.1", "printer.office.foobar.com").contains("NOERROR"));
        std::io::Write::write_all(&mut file, piece).unwrap();
    }
    drop(file);
    until("the whole file is served", || stage.dig("127.0.0.1", "new.foobar.com +short") == "127.0.0.9\n");
    until("both loads are told", || loads() == 2);
}

#[test]
fn the_file_of_another_zone_does_not_have_a_half_written_one_read() {
    let stage = Stage::up();
    let zone = fs::read_to_string(stage.root().join(ZONE)).unwrap() + "\nnew IN A 127.0.0.9\n";
    let half = zone.len() / 2;
    let (first, second) = zone.split_at(half + zone[half..].find('\n').unwrap() + 1);
    let mut file = File::create(stage.root().join(ZONE)).unwrap();
    file.write_all(first.as_bytes()).unwrap();
    stage.edit("zones/loopback/127.in-addr.arpa.zone", |zone| {
        format!("{zone}\n9.0.0 PTR other.foobar.com.\n")
    });
    until("the other zone is served", || {
        // A writer that is not heard of for long is not waited for.
        file.write_all(b"; more\n").unwrap();
        stage.dig("127.0.0.1", "-x 127.0.0.9 +short") == "other.foobar.com.\n"
    });
    file.write_all(second.as_bytes()).unwrap();
    drop(file);
    until("the whole file is served", || stage.dig("127.0.0.1", "new.foobar.com +short") == "127.0.0.9\n");
    let told = |what: &str| stage.log("dns").lines().filter(|line| line.contains(what)).count();
    until("both loads are told", || told("zone foobar.com. in service") == 2);
    assert_eq!(told("zone 127.in-addr.arpa. in service"), 2, "{}", stage.log("dns"));
    assert_eq!(told("refused"), 0, "{}", stage.log("dns"));
}

/// Saves a text in a file.
type Way<'a> = &'a dyn Fn(&Path, &str);

#[test]
fn every_way_to_save_a_file_is_seen() {
    let stage = Stage::new();
    let folder = stage.root().join("zones/loopback");
    stage.edit(ZONE, |zone| format!("{zone}\n$INCLUDE part.inc\n"));
    fs::write(folder.join("part.inc"), "part A 127.0.0.0\n").unwrap();
    stage.wwwlab(["up", "-d"]).ok();
    let in_place = |file: &Path, text: &str| fs::write(file, text).unwrap();
    let renamed = |file: &Path, text: &str| {
        fs::write(file.with_extension("new"), text).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    };
    // vim and emacs put the old file aside, and write another one.
    let put_aside = |file: &Path, text: &str| {
        fs::rename(file, file.with_extension("inc~")).unwrap();
        fs::write(file, text).unwrap();
    };
    let removed = |file: &Path, text: &str| {
        fs::remove_file(file).unwrap();
        fs::write(file, text).unwrap();
    };
    let linked = |file: &Path, text: &str| {
        let other = file.with_extension(format!("{}", text.len()));
        fs::write(&other, text).unwrap();
        let _ = fs::remove_file(file);
        std::os::unix::fs::symlink(other, file).unwrap();
    };
    let by_sed = |file: &Path, text: &str| {
        let address = text.split_whitespace().last().unwrap();
        let script = format!("s/127.0.0.*/{address}/");
        assert!(stage.command("sed").arg("-i").arg(script).arg(file).status().unwrap().success());
    };
    let ways: [Way<'_>; 6] = [&in_place, &renamed, &put_aside, &removed, &by_sed, &linked];
    for (number, save) in ways.iter().enumerate() {
        let number = number + 1;
        save(&folder.join("part.inc"), &format!("part A 127.0.0.{number}\n"));
        until(&format!("way {number} to save is seen"), || {
            stage.dig("127.0.0.1", "part.foobar.com +short") == format!("127.0.0.{number}\n")
        });
    }
    // What the link points to is saved in its own place.
    let target = fs::canonicalize(folder.join("part.inc")).unwrap();
    renamed(&target, "part A 127.0.0.77\n");
    until("what is linked to is seen", || stage.dig("127.0.0.1", "part.foobar.com +short") == "127.0.0.77\n");
    assert!(!stage.log("dns").contains("refused"), "{}", stage.log("dns"));
}

#[test]
fn edits_under_load_lose_no_question() {
    const EDITS: u32 = 200;
    const ANSWERS_BETWEEN: u64 = 10;
    /// Edits that may follow each other faster than they are served.
    const EDITS_UNSEEN: u32 = 5;
    let stage = Stage::new();
    let soa = |serial: u32| format!("@ SOA ns1 hostmaster ( {serial} 1h 15m 1w 5m )\n");
    let part = stage.root().join("zones/loopback/soa.inc");
    fs::write(&part, soa(1)).unwrap();
    stage.edit(ZONE, |zone| {
        let (before, rest) = zone.split_once("@               SOA").unwrap();
        format!("{before}$INCLUDE soa.inc\n{}", rest.split_once(')').unwrap().1)
    });
    stage.wwwlab(["up", "-d"]).ok();
    let port = stage.port("dns");
    let askers = [Transport::Udp, Transport::Tcp].map(|transport| Asker::start(port, transport));
    let more_answers = || {
        for asker in &askers {
            let enough = asker.answers() + ANSWERS_BETWEEN;
            until("questions are answered", || asker.answers() >= enough);
        }
    };
    for serial in 2..=EDITS {
        match serial % 4 {
            0 => fs::write(&part, soa(serial)).unwrap(),
            1 => {
                // Its writer takes a while.
                let text = soa(serial);
                let mut file = File::create(&part).unwrap();
                file.write_all(&text.as_bytes()[..10]).unwrap();
                more_answers();
                file.write_all(&text.as_bytes()[10..]).unwrap();
            }
            2 => {
                fs::write(part.with_extension("new"), soa(serial)).unwrap();
                fs::rename(part.with_extension("new"), &part).unwrap();
            }
            _ => {
                // A comment in the other file of the zone, at the same time.
                fs::write(&part, soa(serial)).unwrap();
                stage.edit(ZONE, |zone| format!("{zone}; edit {serial}\n"));
            }
        }
        more_answers();
        if serial % EDITS_UNSEEN == 0 {
            until("an edit is served to all", || askers.iter().all(|asker| asker.serial() == serial));
        }
    }
    until("the last edit is served to all", || askers.iter().all(|asker| asker.serial() == EDITS));
    for asker in askers {
        let versions = asker.stop();
        assert!(versions >= EDITS / EDITS_UNSEEN, "of {EDITS} edits {versions} were seen");
    }
    assert!(!stage.log("dns").contains("refused"), "{}", stage.log("dns"));
}
