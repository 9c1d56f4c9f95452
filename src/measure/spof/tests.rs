//! From what was met to the verdict, and how that is shown.

use super::*;

fn outcome(micros: u64, symptom: Option<&str>) -> Outcome {
    Outcome { micros, symptom: symptom.map(str::to_owned) }
}

fn good() -> Outcome {
    outcome(1_000, None)
}

/// The name cold and warm, the static page, and the dynamic one, which takes 40 ms.
fn met(cold: Option<&str>, warm: Option<&str>, page: Option<&str>, dynamic: Option<&str>) -> Met {
    Met {
        cold: outcome(2_500_000, cold),
        warm: outcome(300, warm),
        pages: vec![(Check::Static, outcome(900, page)), (Check::Dynamic, outcome(39_100, dynamic))],
    }
}

fn words(trial: &Trial) -> Vec<&'static str> {
    trial.works.values().map(|works| works.word()).collect()
}

#[test]
fn a_page_is_worth_nothing_to_who_has_no_address() {
    let trial = Trial::of(How::Stopped, &met(Some("SERVFAIL"), None, None, None), Some(1_200_000));
    assert_eq!(words(&trial), ["warm", "warm", "warm"]);
    assert_eq!(trial.symptoms, ["dig: SERVFAIL"]);
    assert_eq!((trial.noticed_seconds, trial.recovered_seconds), (Some(2.5), Some(1.2)));
    let trial = Trial::of(How::Paused, &met(Some("timeout"), Some("timeout"), None, None), None);
    assert_eq!(words(&trial), ["fails", "fails", "fails"]);
    assert_eq!(trial.recovered_seconds, None);
}

#[test]
fn who_fails_first_is_noticed_and_each_symptom_is_said_once() {
    let trial = Trial::of(How::Stopped, &met(None, None, None, Some("502")), None);
    assert_eq!(words(&trial), ["works", "works", "fails"]);
    assert_eq!((trial.noticed_seconds, trial.symptoms), (Some(0.04), vec!["curl: 502".to_owned()]));
    let both = met(Some("refused"), None, Some("refused"), Some("refused"));
    let trial = Trial::of(How::Stopped, &both, None);
    assert_eq!((trial.noticed_seconds, words(&trial)), (Some(0.001), vec!["warm", "fails", "fails"]));
    assert_eq!(trial.symptoms, ["dig: refused", "curl: refused"]);
}

#[test]
fn what_only_takes_longer_goes_on_and_is_said_to_be_slow() {
    let trial = Trial::of(How::Paused, &met(None, None, None, None), None);
    assert_eq!((words(&trial), trial.noticed_seconds), (vec!["works"; 3], None));
    assert_eq!(trial.symptoms, ["dig: slow, 2.5 s"]);
    let fast = Met { cold: good(), ..met(None, None, None, None) };
    assert_eq!(Trial::of(How::Paused, &fast, None).symptoms, Vec::<String>::new());
}

#[test]
fn one_way_to_fail_is_enough_and_what_was_not_tried_is_not_known() {
    let good = || Trial::of(How::Stopped, &met(None, None, None, None), None);
    let bad = || Trial::of(How::Paused, &met(Some("SERVFAIL"), None, None, None), None);
    let refused = || Trial::refused(How::Stopped, "it is elsewhere".into());
    let part = |trials| Component::of("dns".into(), Kind::Service, trials);
    let verdict = |trials| part(trials).single_point_of_failure;
    assert_eq!(verdict(vec![good(), bad()]), Some(true));
    assert_eq!(verdict(vec![good(), good()]), Some(false));
    assert_eq!(verdict(vec![refused(), good()]), Some(false));
    assert_eq!(verdict(vec![refused()]), None);
    assert_eq!([good(), bad(), refused()].map(|trial| trial.verdict()), ["no", "yes", "?"]);
    assert_eq!(part(vec![good(), bad()]).shown(), "dns (only paused)");
    assert_eq!(
        [vec![bad()], vec![refused(), bad()], vec![bad(), bad()]].map(|trials| part(trials).shown()),
        ["dns"; 3]
    );
}

fn matrix() -> Matrix {
    let bad = Trial::of(How::Stopped, &met(Some("SERVFAIL"), None, None, Some("5<0|2")), Some(1_000_000));
    let good = Trial::of(How::Paused, &met(None, None, None, None), Some(20_000));
    let part = |name: &str, trial: &Trial| Component::of(name.into(), Kind::Service, vec![trial.clone()]);
    Matrix {
        site: "www.foo<bar>.com".into(),
        network: "loopback".into(),
        checks: vec![Check::Name, Check::Static, Check::Dynamic],
        components: vec![
            part("dns", &bad),
            part("dns2", &good),
            part("db", &Trial::refused(How::Stopped, "it is elsewhere".into())),
        ],
        seconds: 31.4,
    }
}

#[test]
fn the_sentence_counts_what_is_known() {
    assert_eq!(matrix().sentence(), "1 of 2 parts are single points of failure: dns; not dns2.");
    let empty = Matrix { components: Vec::new(), ..matrix() };
    assert_eq!(empty.sentence(), "0 of 0 parts are single points of failure.");
}

#[test]
fn the_report_is_a_table_that_no_text_breaks() {
    let text = markdown::write(&matrix());
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 5);
    let row =
        "| dns | stopped | warm | warm | fails | dig: SERVFAIL, curl: 5&lt;0\\|2 | 40 ms | 1.0 s | yes |";
    assert_eq!(rows[2], row);
    assert_eq!(rows[4], "| db | stopped | ? | ? | ? | it is elsewhere | – | – | ? |");
    assert!(text.starts_with("## Single points of failure of www.foo&lt;bar>.com\n"), "{text}");
    assert!(text.contains("31 s on network `loopback`"), "{text}");
}

#[test]
fn the_picture_is_whole_and_escaped() {
    let picture = svg::draw(&matrix());
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("www.foo&lt;bar&gt;.com") && !picture.contains("<bar>"), "{picture}");
    for word in [">warm<", ">works<", ">fails<", ">yes<", ">no<", ">?<", ">1.0 s<"] {
        assert!(picture.contains(word), "{word} is missing: {picture}");
    }
    assert_eq!(picture.matches("<text").count(), picture.matches("</text>").count());
}

#[test]
fn what_was_measured_can_be_read_again() {
    let matrix = matrix();
    let json = serde_json::to_string(&matrix).unwrap();
    assert_eq!(serde_json::from_str::<Matrix>(&json).unwrap(), matrix);
    assert!(json.contains(r#""single_point_of_failure":true"#), "{json}");
    assert_eq!([0.004, 0.84, 12.3].map(shown), ["4 ms", "0.8 s", "12 s"]);
}
