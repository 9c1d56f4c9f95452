//! The screen is compared as text, from readings made here.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::cli::top::model::Reading;
use crate::ground::metrics::{Family, Histogram};

/// A lab of three services, as it says itself how it stands: `web` has taken `cpu_millis`.
fn status(cpu_millis: u64, web: &str) -> crate::lab::status::LabStatus {
    let service = |name: &str, state: &str, usage: &str| {
        format!(
            r#"{{"name":"{name}","host":"server","address":null,"state":"{state}","pid":7,"since":0,"detail":"",
                "usage":{usage},"disk_bytes":0}}"#
        )
    };
    let services = [
        service("resolver", "running", r#"{"cpu_millis":0,"memory_bytes":1700000}"#),
        service("web", web, &format!(r#"{{"cpu_millis":{cpu_millis},"memory_bytes":2500000}}"#)),
        service("db", "stopped", "null"),
    ];
    let text = format!(
        r#"{{"directory":"/lab","built_in":false,"network":"loopback","pid":1,"since":1000,
            "ports":{{"dns":53,"http":80,"app":3000,"reasons":[]}},
            "database":{{"engine":"sqlite","kind":"SQLite","place":"/lab/db"}},"site_name":"www.foobar.com","seed":7,"faults":[],
            "services":[{}],"supervisor":{{"cpu_millis":0,"memory_bytes":0}}}}"#,
        services.join(",")
    );
    serde_json::from_str(&text).unwrap()
}

/// After `seconds` with a hundred requests each, of which one took longer.
fn model(seconds: u64, web: &str) -> Model {
    let mut model = Model::new("the lab".into());
    let (start, times) = (Instant::now(), Histogram::default());
    for second in 0..=seconds {
        let families = vec![
            Family::histogram("wwwlab_http_request_duration_seconds", "T.")
                .with(&[("service", "web")], times.read()),
        ];
        let at = start + Duration::from_secs(second);
        model.take(Reading { at, status: status(second * 250, web), families });
        times.observe(Duration::from_micros(80), 98);
        times.observe(Duration::from_millis(2), 2);
    }
    model
}

fn drawn(model: &Model, width: u16, height: u16, has_colours: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), model, 61_000, has_colours)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(model: &Model, width: u16, height: u16) -> Vec<String> {
    let buffer = drawn(model, width, height, false);
    let symbols = buffer.content.chunks(width.into());
    let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect::<String>();
    symbols.map(|cells| line(cells).trim_end().to_owned()).collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn what_is_laid_stands_above_the_numbers() {
    let mut model = model(1, "running");
    assert_eq!(lines(&model, 70, 9)[1], "");
    let mut status = status(0, "running");
    let laid = r#"[{"id":1,"fault":"cut","service":"web","edge":"client-web","details":"","since":0},
        {"id":2,"fault":"servfail","service":"dns","details":"","since":0}]"#;
    status.faults = serde_json::from_str(laid).unwrap();
    model.take(Reading { at: Instant::now(), status, families: Vec::new() });
    assert_eq!(lines(&model, 70, 9)[1], "laid: cut on client-web, servfail on dns");
    assert_eq!(lines(&model, 20, 9)[1], "laid: cut on client-");
}

#[test]
fn numbers_are_of_the_last_interval() {
    let lines = lines(&model(3, "running"), 70, 9);
    assert_eq!(lines[0], "the lab  network loopback, up for 60 s");
    assert_eq!(words(&lines[2]), ["SERVICE", "STATE", "QPS", "P50", "P99", "CPU", "MEMORY"]);
    // Half of 98 between 50 and 100 µs; the 99th of a hundred half way from 1 to 2.5 ms.
    let web = words(&lines[4]).join(" ");
    for number in ["web running 100 ", " 75 µs ", " 1.7 ms ", " 25 % ", "2.5 MB"] {
        assert!(web.contains(number), "{number}: {web}");
    }
    assert_eq!(words(&lines[3])[..2], ["resolver", "running"]);
    assert_eq!(words(&lines[5]), ["db", "stopped"]);
    assert_eq!(lines[8], "q quits, s sorts (by the path)");
}

#[test]
fn a_wide_screen_has_four_curves_of_sixty_at_most() {
    let widths = |width| -> Vec<u16> {
        let columns = columns(width).into_iter();
        columns.filter(|column| matches!(column.what, What::Curve(_))).map(|column| column.width).collect()
    };
    assert_eq!(widths(400), [60; 4]);
    assert_eq!(widths(100).len(), 4);
    assert_eq!(widths(64), Vec::<u16>::new());
    for width in 0..400 {
        let columns = columns(width);
        let taken: u16 = columns.iter().map(|column| column.width + GAP).sum();
        assert!(taken <= width + GAP || columns.len() == 1, "{width}: {columns:?}");
        assert_eq!(columns[0].what, What::Name);
    }
}

#[test]
fn a_curve_has_its_newest_sample_at_the_right() {
    let lines = lines(&model(3, "running"), 300, 9);
    let web = &lines[4];
    assert_eq!(web.matches("███").count(), 4, "three intervals: {web}");
    assert_eq!(web.matches("████").count(), 1, "memory is known from the first reading on: {web}");
}

#[test]
fn what_does_not_fit_is_left_out_and_nothing_panics() {
    let model = model(70, "paused");
    assert_eq!(model.rows()[1].past.len(), SAMPLES_MOST);
    for width in [1, 2, 5, 9, 17, 24, 40, 63, 80, 500] {
        for height in [1, 2, 3, 4, 5, 6, 7, 40] {
            drawn(&model, width, height, true);
        }
    }
    let narrow = lines(&model, 30, 9);
    assert_eq!(words(&narrow[2]), ["SERVICE", "QPS", "P99"]);
    assert_eq!((words(&narrow[4]), words(&narrow[5])), (vec!["web", "paused"], vec!["db", "stopped"]));
    let low = lines(&model, 80, 6);
    assert!(low[3].starts_with("resolver") && low[5].ends_with("2 more below"), "{low:?}");
}

#[test]
fn rows_are_sorted_by_what_the_key_says() {
    let mut model = model(2, "running");
    let first = |model: &Model| model.rows()[0].name.to_string();
    assert_eq!((first(&model).as_str(), model.order.as_str()), ("resolver", "the path"));
    for by in ["QPS", "p99", "CPU", "memory"] {
        model.sort();
        assert_eq!((first(&model).as_str(), model.order.as_str()), ("web", by));
    }
    model.sort();
    assert_eq!(first(&model), "resolver");
}

#[test]
fn colours_are_there_where_they_are_wanted() {
    let model = model(2, "running");
    let colours = |has_colours| {
        let buffer = drawn(&model, 120, 9, has_colours);
        buffer.content.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert!(colours(true) > 0);
    assert_eq!(colours(false), 0);
}

#[test]
fn another_process_begins_anew_and_times_read_well() {
    let mut model = model(2, "running");
    let mut status = status(0, "running");
    status.services[1].condition.pid = Some(8);
    model.take(Reading { at: Instant::now() + Duration::from_secs(9), status, families: Vec::new() });
    let now = model.rows()[1].now;
    assert_eq!((now.per_second, now.cpu_percent), (None, None));
    assert!(now.memory_bytes.is_some());
    assert_eq!([999, 1_500, 25_000, 2_550_000].map(time), ["999 µs", "1.5 ms", "25 ms", "2.5 s"]);
}
