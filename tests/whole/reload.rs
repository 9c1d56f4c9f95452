//! Zone files are edited while the lab runs.

use std::fs;

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
    let mut file = fs::File::create(stage.root().join(ZONE)).unwrap();
    std::io::Write::write_all(&mut file, first.as_bytes()).unwrap();
    // Time passes, many times what a file must be quiet for.
    for _ in 0..20 {
        assert!(stage.dig("127.0.0.1", "printer.office.foobar.com").contains("NOERROR"));
    }
    std::io::Write::write_all(&mut file, second.as_bytes()).unwrap();
    drop(file);
    until("the whole file is served", || stage.dig("127.0.0.1", "new.foobar.com +short") == "127.0.0.9\n");
    until("both loads are told", || loads() == 2);
}
